"""Psychologists and patients: how they find each other, and how they part."""

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import pytest

from storage.accounts import Role
from tests.backend import Backend
from tests.client import Client
from tests.instance import Instance, Person
from tests.talks import eventually, refusal

PASSWORD = "a password nobody guesses"


async def invite(server: Instance, psychologist: Person, email: str) -> Any:
    return await server.ask(psychologist, "/care", "relation:invite", {"email": email})


async def list_relations(server: Instance, person: Person, **page: int) -> list[Any]:
    answer = await server.ask(person, "/care", "relation:list", page)
    items: list[Any] = answer["items"]
    return items


def told_in(device: Client) -> list[tuple[str, Any]]:
    return [(told.event, told.data) for told in device.pushes("/care")]


async def test_an_invitation_is_accepted(server: Instance) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    patient = await server.add_person()
    devices = [await server.connect(one, "/care") for one in (psychologist, patient, patient)]
    asking, answering, _ = devices

    await asking.ask("relation:invite", {"email": patient.email.upper()}, namespace="/care")
    invited = (await answering.wait_for("relation:invited", namespace="/care")).data
    accepted = await answering.ask(
        "relation:accept", {"psychologist_id": psychologist.id}, namespace="/care"
    )

    assert invited == {
        "psychologist": {"id": psychologist.id, "name": psychologist.name, "avatar_url": None},
        "patient": {"id": patient.id, "name": patient.name, "avatar_url": None},
        "status": "invited",
        "since": None,
        "until": None,
    }
    assert accepted == {**invited, "status": "active", "since": accepted["since"]}
    assert accepted["since"].endswith("Z")
    for device in devices:
        await device.wait_for("relation:accepted", namespace="/care")
        assert told_in(device) == [("relation:invited", invited), ("relation:accepted", accepted)]
    for person in (psychologist, patient):
        assert await list_relations(server, person) == [accepted]


async def test_an_invitation_is_declined_and_made_again(server: Instance) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    patient = await server.add_person()
    device = await server.connect(psychologist, "/care")
    answer = {"psychologist_id": psychologist.id}
    await invite(server, psychologist, patient.email)

    declined = await server.ask(patient, "/care", "relation:decline", answer)

    assert (declined["status"], declined["since"]) == ("declined", None)
    assert await refusal(server.ask(patient, "/care", "relation:accept", answer)) == "not_found"
    await invite(server, psychologist, patient.email)
    assert (await server.ask(patient, "/care", "relation:accept", answer))["status"] == "active"
    await device.wait_for("relation:accepted", namespace="/care")
    assert [event for event, _ in told_in(device)] == [
        "relation:invited",
        "relation:declined",
        "relation:invited",
        "relation:accepted",
    ]


@pytest.mark.parametrize("who", [0, 1])
async def test_either_of_the_two_ends_a_relation(server: Instance, who: int) -> None:
    pair = await server.connect_pair()
    devices = [await server.connect(person, "/care") for person in pair]
    one, other = pair[who], pair[1 - who]
    (active,) = await list_relations(server, one)

    ended = await server.ask(one, "/care", "relation:end", {"user_id": other.id})

    assert ended == {**active, "status": "ended", "until": ended["until"]}
    assert ended["until"] > ended["since"]
    for device in devices:
        assert (await device.wait_for("relation:ended", namespace="/care")).data == ended
    for person in pair:
        again = server.ask(person, "/care", "relation:end", {"user_id": pair[0].id})
        assert await refusal(again) == "not_found"
    await server.relate(*pair)
    (again,) = await list_relations(server, one)
    assert (again["status"], again["until"]) == ("active", None)
    assert again["since"] > active["since"]


async def test_inviting_again_changes_nothing(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    other = await server.add_person()
    await invite(server, psychologist, other.email)
    device = await server.connect(psychologist, "/care")
    before = await list_relations(server, psychologist)

    for person in (patient, other):
        assert await invite(server, psychologist, person.email) == {}

    assert await list_relations(server, psychologist) == before
    assert told_in(device) == []


async def test_the_answer_to_an_invitation_tells_nothing(
    server: Instance, backend: Backend
) -> None:
    psychologist, patient = await server.connect_pair()
    colleague = await server.add_person(Role.PSYCHOLOGIST)
    known = await server.add_person()
    unknown = "somebody.else@example.com"
    emails = [known.email, known.email, patient.email, colleague.email, psychologist.email, unknown]
    loop = asyncio.get_running_loop()

    for email in emails:
        started = loop.time()
        assert await invite(server, psychologist, email) == {}
        assert loop.time() - started >= 0.1

    others = {relation["patient"]["id"] for relation in await list_relations(server, psychologist)}
    assert others == {patient.id, known.id}
    assert await list_relations(server, colleague) == []
    (mail,) = await eventually(lambda: read_mail(backend))
    assert mail["To"] == unknown


async def test_a_newcomer_finds_the_invitations_that_waited(
    server: Instance, backend: Backend
) -> None:
    first, second = [await server.add_person(Role.PSYCHOLOGIST, name) for name in ("Ann", "Bob")]
    email = f"newcomer.{uuid4().hex[:8]}@example.com"
    for psychologist in (first, second, second):
        await invite(server, psychologist, email)
    device = await server.connect(first, "/care")

    async def both_mails() -> list[EmailMessage]:
        mails = await read_mail(backend)
        return mails if len({mail["Subject"] for mail in mails}) == 2 else []

    mails = await eventually(both_mails)
    assert {mail["To"] for mail in mails} == {email}
    assert {mail["Subject"].split()[0] for mail in mails} == {"Ann", "Bob"}
    for mail in mails:
        assert server.runtime.settings.public_url in mail.get_content()

    status, session = await server.request(
        "POST", "/auth/register", {"email": email.upper(), "password": PASSWORD, "name": "New"}
    )

    assert status == 201
    newcomer = await server.connect(session["access_token"], "/care", after=0)
    await newcomer.wait_for("relation:invited", namespace="/care", count=2)
    assert {data["psychologist"]["name"] for _, data in told_in(newcomer)} == {"Ann", "Bob"}
    told = (await device.wait_for("relation:invited", namespace="/care")).data
    assert told["patient"] == {"id": session["user"]["id"], "name": "New", "avatar_url": None}
    relations = await newcomer.ask("relation:list", namespace="/care")
    assert [relation["status"] for relation in relations["items"]] == ["invited", "invited"]
    accepted = await newcomer.ask(
        "relation:accept", {"psychologist_id": first.id}, namespace="/care"
    )
    assert accepted["status"] == "active"


async def test_an_invited_psychologist_gets_no_relation(server: Instance) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    email = f"colleague.{uuid4().hex[:8]}@example.com"
    await invite(server, psychologist, email)
    body = {"email": email, "password": PASSWORD, "role": "psychologist"}
    _, session = await server.request("POST", "/auth/register", body)

    # A patient who comes later is greeted later.
    other = f"patient.{uuid4().hex[:8]}@example.com"
    await invite(server, psychologist, other)
    device = await server.connect(psychologist, "/care")
    await server.request("POST", "/auth/register", {"email": other, "password": PASSWORD})

    await device.wait_for("relation:invited", namespace="/care")
    (relation,) = await list_relations(server, psychologist)
    assert relation["patient"]["id"] != session["user"]["id"]


async def test_an_invitation_is_made_once(server: Instance) -> None:
    psychologist, patient = await server.add_person(Role.PSYCHOLOGIST), await server.add_person()
    devices = [await server.connect(psychologist, "/care") for _ in range(2)]
    request = {"email": patient.email, "client_ref": str(uuid4())}
    await invite_at_once(devices, request)
    await server.ask(patient, "/care", "relation:decline", {"psychologist_id": psychologist.id})

    # The same request again is not a new invitation.
    await invite_at_once(devices, request)

    (relation,) = await list_relations(server, patient)
    assert relation["status"] == "declined"
    another = {**request, "email": "another@example.com"}
    assert await refusal(devices[0].ask("relation:invite", another, namespace="/care")) == (
        "conflict"
    )
    for device in devices:
        await device.wait_for("relation:declined", namespace="/care")
        events = [event for event, _ in told_in(device)]
        assert events == ["relation:invited", "relation:declined"]


@pytest.mark.scaled
async def test_an_invitation_on_two_instances_at_once_is_made_once(
    instances: tuple[Instance, Instance],
) -> None:
    psychologist = await instances[0].add_person(Role.PSYCHOLOGIST)
    patient = await instances[0].add_person()
    devices = [await one.connect(psychologist, "/care") for one in instances]

    await invite_at_once(devices, {"email": patient.email, "client_ref": str(uuid4())})

    answer = {"psychologist_id": psychologist.id}
    await instances[0].ask(patient, "/care", "relation:accept", answer)
    for device in devices:
        await device.wait_for("relation:accepted", namespace="/care")
        events = [event for event, _ in told_in(device)]
        assert events == ["relation:invited", "relation:accepted"]


async def test_an_invitation_is_answered_once(server: Instance) -> None:
    psychologist, patient = await server.add_person(Role.PSYCHOLOGIST), await server.add_person()
    await invite(server, psychologist, patient.email)
    devices = [await server.connect(patient, "/care") for _ in range(2)]
    answer = {"psychologist_id": psychologist.id}

    outcomes = await asyncio.gather(
        *(
            device.ask(event, answer, namespace="/care")
            for device, event in zip(devices, ("relation:accept", "relation:decline"), strict=True)
        ),
        return_exceptions=True,
    )

    (done,) = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    assert await list_relations(server, patient) == [done]


async def test_each_role_has_its_part(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    admin = await server.add_person(Role.ADMIN)
    asked: list[tuple[str, dict[str, Any], list[Person]]] = [
        ("relation:invite", {"email": "somebody@example.com"}, [patient, admin]),
        ("relation:accept", {"psychologist_id": psychologist.id}, [psychologist, admin]),
        ("relation:decline", {"psychologist_id": psychologist.id}, [psychologist, admin]),
        ("relation:list", {}, [admin]),
        ("relation:end", {"user_id": patient.id}, [admin]),
    ]

    for event, payload, people in asked:
        for person in people:
            assert await refusal(server.ask(person, "/care", event, payload)) == "forbidden"


async def test_what_is_not_there_cannot_be_answered_or_ended(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    stranger = await server.add_person(Role.PSYCHOLOGIST)
    invited = await server.add_person()
    await invite(server, psychologist, invited.email)

    for event in ("relation:accept", "relation:decline"):
        for psychologist_id in (stranger.id, psychologist.id, 999_999):
            asking = server.ask(patient, "/care", event, {"psychologist_id": psychologist_id})
            assert await refusal(asking) == "not_found"
    for one, other in ((stranger, patient), (patient, stranger), (psychologist, invited)):
        asking = server.ask(one, "/care", "relation:end", {"user_id": other.id})
        assert await refusal(asking) == "not_found"
    for email in ("", "nobody", "a@b", "a" * 300 + "@example.com", None):
        asking = server.ask(psychologist, "/care", "relation:invite", {"email": email})
        assert await refusal(asking) == "invalid"


async def test_relations_are_listed_newest_invitation_first(server: Instance) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    patients = [await server.add_person() for _ in range(4)]
    for patient in patients:
        await invite(server, psychologist, patient.email)
    await server.ask(patients[0], "/care", "relation:decline", {"psychologist_id": psychologist.id})
    await invite(server, psychologist, patients[0].email)

    answer = await server.ask(psychologist, "/care", "relation:list", {"skip": 1, "limit": 2})

    expected = [patients[n].id for n in (0, 3, 2, 1)]
    assert [relation["patient"]["id"] for relation in answer["items"]] == expected[1:3]
    assert (answer["total"], answer["skip"], answer["limit"]) == (4, 1, 2)
    everything = await list_relations(server, psychologist)
    assert [relation["patient"]["id"] for relation in everything] == expected
    assert len(await list_relations(server, patients[1])) == 1


async def invite_at_once(devices: list[Client], request: dict[str, Any]) -> None:
    answers = await asyncio.gather(
        *(
            device.ask("relation:invite", request, namespace="/care")
            for device in devices
            for _ in range(3)
        )
    )
    assert all(answer == {} for answer in answers)


async def read_mail(backend: Backend) -> list[EmailMessage]:
    letters = sorted((backend.data_dir / "outbox").glob("*.eml"))
    parsed = [message_from_bytes(one.read_bytes(), policy=policy.default) for one in letters]
    return [letter for letter in parsed if isinstance(letter, EmailMessage)]

"""Psychologists and patients: how they find each other, and how they part."""

import asyncio
from typing import Any

import pytest

from storage.accounts import Role
from tests.client import Client
from tests.instance import Instance, Person
from tests.talks import refusal


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

"""Invitations: what they tell, whom they reach, and that each is made once."""

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import pytest

from storage.accounts import Role
from tests.backend import Backend
from tests.client import Client
from tests.instance import Instance
from tests.talks import eventually, refusal
from tests.test_care import invite, list_relations, told_in

PASSWORD = "a password nobody guesses"


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

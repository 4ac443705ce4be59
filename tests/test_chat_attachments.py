"""Attachments: files of a message, for the two people of its chat."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from storage.accounts import Role
from tests.client import Refused
from tests.files import (
    PDF,
    fetch,
    list_traces,
    read_upload,
    upload,
    wait_for_jobs,
    wait_for_thumbnail,
    wait_until_clean,
)
from tests.instance import Instance, Person
from tests.stand_ins.pictures import draw
from tests.stand_ins.waiting import set_clock
from tests.talks import Talk, message, start_talk


@pytest.fixture
async def talk(server: Instance) -> Talk:
    return await start_talk(server)


def with_files(talk: Talk, *uploads: Any, text: str = "", ref: str = "") -> dict[str, Any]:
    ids = [one["id"] for one in uploads]
    return {**message(talk.chat_id, text, ref=ref), "upload_ids": ids}


async def send_files(talk: Talk, sender: Person, *uploads: Any, text: str = "") -> Any:
    return await talk.server.ask(
        sender, "/chat", "message:send", with_files(talk, *uploads, text=text)
    )


async def refusal_of(talk: Talk, sender: Person, payload: dict[str, Any]) -> tuple[str, str]:
    """The code, and the field that is not right."""
    with pytest.raises(Refused) as caught:
        await talk.server.ask(sender, "/chat", "message:send", payload)
    return caught.value.code, caught.value.error["fields"][0]["path"]


async def test_files_are_sent_with_a_text_and_without(server: Instance, talk: Talk) -> None:
    writer, reader = await server.connect(talk.patient), await server.connect(talk.psychologist)
    picture = await upload(server, talk.patient, draw(), name="Picture.png")
    document = await upload(server, talk.patient, PDF, name="Report.pdf", type="application/pdf")
    more = await upload(server, talk.patient)

    # In the order of the message, not of the uploads.
    sent = await writer.ask("message:send", with_files(talk, document, picture, text="See!"))
    bare = await writer.ask("message:send", with_files(talk, more))

    assert sent["attachments"] == [document, picture]
    assert (sent["text"], bare["text"], bare["attachments"]) == ("See!", "", [more])
    assert (await reader.wait_for("message:created")).data == sent
    assert (await reader.wait_for("message:created", count=2)).data == bare


async def test_files_are_seen_wherever_their_message_is(server: Instance, talk: Talk) -> None:
    reader = await server.connect(talk.psychologist)
    file = await upload(server, talk.patient)
    sent = await send_files(talk, talk.patient, file, text="One")
    await talk.send(talk.psychologist, "Two")

    (first, second) = await talk.history(talk.psychologist)
    edited = await talk.ask(talk.patient, "message:edit", seq=1, text="Changed")
    told = (await reader.wait_for("message:edited")).data
    last = await send_files(talk, talk.patient, await upload(server, talk.patient))
    chat = await talk.ask(talk.psychologist, "chat:get")
    listed = await server.ask(talk.psychologist, "/chat", "chat:list", {})

    assert first["attachments"] == edited["attachments"] == told["attachments"] == [file]
    assert second["attachments"] == []
    assert edited["text"] == "Changed"
    assert chat["last_message"]["attachments"] == last["attachments"]
    assert listed["items"][0]["last_message"]["attachments"] == last["attachments"]
    assert sent["attachments"] == [file]


async def test_the_two_people_of_the_chat_see_them_and_nobody_else(
    server: Instance, talk: Talk
) -> None:
    file = await upload(server, talk.patient)
    path = f"/uploads/{file['id']}"
    assert (await fetch(server, path, talk.psychologist)).status == 404
    await send_files(talk, talk.patient, file)
    stranger = await server.add_person(Role.PSYCHOLOGIST)
    other = await start_talk(server)

    for person in talk.people:
        assert (await fetch(server, path, person)).status == 200
        assert (await fetch(server, f"{path}/thumbnail", person)).status == 200
    for person in (stranger, *other.people):
        assert (await fetch(server, path, person)).status == 404
    # What was written stays readable.
    await server.ask(talk.patient, "/care", "relation:end", {"user_id": talk.psychologist.id})
    assert (await fetch(server, path, talk.psychologist)).status == 200


async def test_only_ones_own_unused_files_for_messages_can_be_sent(
    server: Instance, talk: Talk
) -> None:
    sender = talk.patient
    used = await upload(server, sender)
    await send_files(talk, sender, used)
    foreign = await upload(server, talk.psychologist)
    avatar = await upload(server, sender, purpose="avatar")
    fine = await upload(server, sender)

    for wrong in (used, foreign, avatar, {"id": 999_999}):
        for files in ([wrong], [fine, wrong]):
            refused = await refusal_of(talk, sender, with_files(talk, *files))
            assert refused == ("invalid", "upload_ids")
    assert await refusal_of(talk, sender, with_files(talk, fine, fine)) == ("invalid", "upload_ids")
    assert await refusal_of(talk, sender, with_files(talk)) == ("invalid", "text")
    many = with_files(talk, *({"id": number} for number in range(1, 12)))
    assert await refusal_of(talk, sender, many) == ("invalid", "upload_ids")
    # The one that was all right can still be used.
    assert len((await send_files(talk, sender, fine))["attachments"]) == 1
    assert len(await talk.history(sender)) == 2


async def test_a_file_belongs_to_one_message_however_they_are_sent(
    server: Instance, talk: Talk
) -> None:
    writer = await server.connect(talk.patient)
    file = await upload(server, talk.patient)

    async def attempt() -> str:
        try:
            await writer.ask("message:send", with_files(talk, file))
        except Refused as refused:
            return refused.code
        return "sent"

    outcomes = await asyncio.gather(*(attempt() for _ in range(5)))

    assert sorted(outcomes) == ["invalid"] * 4 + ["sent"]


async def test_a_message_with_files_is_sent_once(server: Instance, talk: Talk) -> None:
    ref = str(uuid4())
    file = await upload(server, talk.patient)
    payload = with_files(talk, file, text="Once", ref=ref)
    writer = await server.connect(talk.patient)

    answers = await asyncio.gather(*(writer.ask("message:send", payload) for _ in range(3)))

    assert all(answer == answers[0] for answer in answers)
    assert await writer.ask("message:send", payload) == answers[0]
    assert answers[0]["attachments"] == [file]
    assert len(await talk.history(talk.patient)) == 1
    with pytest.raises(Refused, match="conflict"):
        await writer.ask("message:send", {**payload, "upload_ids": []})


async def test_files_go_with_their_message(server: Instance, talk: Talk) -> None:
    reader = await server.connect(talk.psychologist)
    file = await upload(server, talk.patient, draw("PNG", (400, 400)))
    await wait_for_thumbnail(server, file["id"])
    await send_files(talk, talk.patient, file)

    deleted = await talk.ask(talk.patient, "message:delete", seq=1)

    assert (deleted["deleted"], deleted["attachments"]) == (True, [])
    assert (await reader.wait_for("message:deleted")).data == deleted
    assert (await talk.history(talk.psychologist))[0]["attachments"] == []
    assert (await fetch(server, file["url"])).status == 404
    await wait_until_clean(server)
    assert await talk.ask(talk.patient, "message:delete", seq=1) == deleted


async def test_files_that_were_sent_stay(server: Instance, talk: Talk) -> None:
    file = await upload(server, talk.patient)
    await send_files(talk, talk.patient, file)
    await wait_for_jobs(server)
    before = await list_traces(server)

    await set_clock(server, ahead=timedelta(days=10))
    await wait_for_jobs(server)

    assert await list_traces(server) == before
    assert await read_upload(server, file["id"]) is not None


async def test_who_reads_a_message_late_gets_links_that_work(server: Instance, talk: Talk) -> None:
    file = await upload(server, talk.patient)
    imitation = file["url"].replace("signature=", "signature=0")
    sent = await send_files(talk, talk.patient, file, text=imitation)
    await set_clock(server, ahead=timedelta(hours=5))
    person = await server.sign_in(talk.psychologist.email)

    assert (await fetch(server, file["url"])).status == 410
    late = await server.connect(person, after=0)
    told = (await late.wait_for("message:created")).data
    _, polled = await server.request("GET", "/events/chat?after=0", token=person.token)

    (attachment,) = told["attachments"]
    assert attachment["url"] != file["url"]
    assert (await fetch(server, attachment["url"])).status == 200
    assert (await fetch(server, attachment["thumbnail_url"])).status == 200
    assert told["text"] == imitation
    links = {"url": file["url"], "thumbnail_url": file["thumbnail_url"]}
    assert {**told, "attachments": [{**attachment, **links}]} == sent
    created = [item["data"] for item in polled["data"]["items"]]
    assert told in created


async def test_links_stay_the_same_for_a_while(server: Instance, talk: Talk) -> None:
    """So that browsers do not fetch again what they have."""
    file = await upload(server, talk.patient)
    await send_files(talk, talk.patient, file)
    now = server.runtime.clock().replace(minute=1)
    seen = set()
    for minutes in (0, 20, 40):
        server.runtime.clock = lambda at=now + timedelta(minutes=minutes): at  # type: ignore[misc]
        (item,) = await talk.history(talk.patient)
        seen.add(item["attachments"][0]["url"])

    assert len(seen) == 1

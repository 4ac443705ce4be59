"""Messages: what may be written, and how one's own are changed."""

from typing import Any

import pytest

from tests.client import Refused
from tests.instance import Instance
from tests.talks import fence, message, refusal, start_talk

FAMILY = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}"


TEXTS = [
    "a" * 10_000,
    "\N{GRINNING FACE}" * 10_000,
    f"Привет, {FAMILY}! \u202eright to left\u202c",
    " \n\t ",
    "\x1f",
    "a\x1fb",
    "'; DROP TABLE messages; --",
    '"\\u0000" \\x00 </script>\u2028\u2029\ufeff',
]
NOT_TEXTS: list[tuple[Any, str]] = [
    ("", "string_too_short"),
    ("a" * 10_001, "string_too_long"),
    ("a\0b", "nul_character"),
    (None, "string_type"),
    (7, "string_type"),
]
MISSHAPEN: list[tuple[dict[str, Any], str]] = [
    ({"client_ref": "not a uuid"}, "client_ref"),
    ({"client_ref": None}, "client_ref"),
    ({"chat_id": "1"}, "chat_id"),
    ({"chat_id": 0}, "chat_id"),
    ({"chat_id": 2**63}, "chat_id"),
    ({"chat_id": True}, "chat_id"),
    ({"colour": "red"}, "colour"),
]


async def test_a_text_arrives_as_it_was_written(server: Instance) -> None:
    talk = await start_talk(server)
    writer, reader = await server.connect(talk.patient), await server.connect(talk.psychologist)

    for count, text in enumerate(TEXTS, 1):
        sent = await writer.ask("message:send", message(talk.chat_id, text))

        assert sent["text"] == text
        assert (await reader.wait_for("message:created", count=count)).data == sent
        assert await talk.history(talk.psychologist, limit=1) == [sent]


async def test_a_text_that_is_not_right_is_refused(server: Instance) -> None:
    talk = await start_talk(server)
    await talk.send(talk.patient, "Original")
    writer = await server.connect(talk.patient)
    changes = [("message:send", message(talk.chat_id)), ("message:edit", {"seq": 1})]

    for event, payload in changes:
        for text, code in NOT_TEXTS:
            with pytest.raises(Refused) as caught:
                await writer.ask(event, {**payload, "chat_id": talk.chat_id, "text": text})

            assert caught.value.code == "invalid"
            fields = [(field["path"], field["code"]) for field in caught.value.error["fields"]]
            assert fields == [("text", code)]
    assert [item["text"] for item in await talk.history(talk.patient)] == ["Original"]


async def test_a_request_of_another_shape_is_refused(server: Instance) -> None:
    talk = await start_talk(server)
    writer = await server.connect(talk.patient)

    for changes, path in MISSHAPEN:
        with pytest.raises(Refused) as caught:
            await writer.ask("message:send", {**message(talk.chat_id), **changes})

        assert caught.value.code == "invalid"
        assert [field["path"] for field in caught.value.error["fields"]] == [path]
    assert await talk.history(talk.patient) == []


async def test_an_edited_message_is_told_to_both(server: Instance) -> None:
    talk = await start_talk(server)
    sent = await talk.send(talk.patient, "Befor")
    await talk.ask(talk.psychologist, "message:read", seq=1)
    devices = [await server.connect(person) for person in talk.people]

    edited = await talk.ask(talk.patient, "message:edit", seq=1, text="Before")

    assert edited["text"] == "Before"
    assert edited["edited_at"] > sent["created_at"]
    assert edited["read_at"] is not None
    same = {key: edited[key] for key in ("seq", "client_ref", "created_at", "sender_id", "deleted")}
    assert same == {key: sent[key] for key in same}
    for device in devices:
        assert (await device.wait_for("message:edited")).data == edited
    assert await talk.history(talk.psychologist) == [edited]
    chat = await talk.ask(talk.patient, "chat:get")
    assert chat["last_message"] == edited


async def test_a_deleted_message_keeps_its_place(server: Instance) -> None:
    talk = await start_talk(server)
    await talk.send(talk.patient, "A secret")
    after = await talk.send(talk.patient, "After")
    devices = [await server.connect(person) for person in talk.people]

    deleted = await talk.ask(talk.patient, "message:delete", seq=1)
    again = await talk.ask(talk.patient, "message:delete", seq=1)

    assert (deleted["seq"], deleted["text"], deleted["deleted"]) == (1, "", True)
    assert deleted["attachments"] == []
    assert again == deleted
    for device in devices:
        assert (await device.wait_for("message:deleted")).data == deleted
        await fence(device)
        assert len([told for told in device.pushes() if told.event == "message:deleted"]) == 1
    assert await talk.history(talk.psychologist) == [deleted, after]
    assert (await talk.ask(talk.psychologist, "chat:get"))["unread"] == 1


async def test_a_deleted_message_is_gone_for_good(server: Instance) -> None:
    talk = await start_talk(server)
    await talk.send(talk.patient, "A secret")
    await talk.ask(talk.patient, "message:delete", seq=1)

    assert await refusal(talk.ask(talk.patient, "message:edit", seq=1, text="Again")) == "gone"

    assert [item["text"] for item in await talk.history(talk.patient)] == [""]


@pytest.mark.parametrize(
    ("event", "payload"), [("message:edit", {"text": "Mine"}), ("message:delete", {})]
)
async def test_only_ones_own_messages_are_changed(
    server: Instance, event: str, payload: dict[str, Any]
) -> None:
    talk = await start_talk(server)
    sent = await talk.send(talk.patient, "Mine")

    assert await refusal(talk.ask(talk.psychologist, event, seq=1, **payload)) == "forbidden"
    assert await refusal(talk.ask(talk.patient, event, seq=2, **payload)) == "not_found"
    assert await refusal(talk.ask(talk.patient, event, seq=0, **payload)) == "invalid"

    assert await talk.history(talk.patient) == [sent]

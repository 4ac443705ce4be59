"""Markers: how far each of the two has got, and when messages arrived and were read."""

from typing import Any

import pytest
from sqlalchemy import select

from handlers.chat.declared import chat
from storage.chat import NEAR, Receipt
from tests.instance import Instance
from tests.talks import Talk, fence, refusal, start_talk


async def read_times(talk: Talk) -> list[tuple[Any, Any]]:
    items = await talk.history(talk.patient)
    return [(item["delivered_at"], item["read_at"]) for item in items]


async def test_reading_is_told_to_both_with_the_count_for_the_reader(server: Instance) -> None:
    talk = await start_talk(server)
    for _ in range(3):
        await talk.send(talk.patient)
    writer, phone, laptop = [
        await server.connect(person)
        for person in (talk.patient, talk.psychologist, talk.psychologist)
    ]

    answer = await phone.ask("message:read", {"chat_id": talk.chat_id, "seq": 2})

    assert answer == {"chat_id": talk.chat_id, "seq": 2, "unread": 1, "total_unread": 1}
    for device, unread in ((phone, 1), (laptop, 1), (writer, None)):
        told = await device.wait_for("message:read")
        assert told.data == {
            "chat_id": talk.chat_id,
            "user_id": talk.psychologist.id,
            "seq": 2,
            "at": told.data["at"],
            "unread": unread,
        }
        at = told.data["at"]
    assert await read_times(talk) == [(at, at), (at, at), (None, None)]


async def test_the_first_move_that_reached_a_message_is_what_counts(server: Instance) -> None:
    talk = await start_talk(server)
    device = await server.connect(talk.patient)
    for _ in range(5):
        await talk.send(talk.patient)
    moves = [("delivered", 2), ("read", 1), ("delivered", 4), ("read", 4), ("read", 5)]

    for kind, seq in moves:
        await talk.ask(talk.psychologist, f"message:{kind}", seq=seq)

    await fence(device)
    told = [t for t in device.pushes() if t.event in ("message:delivered", "message:read")]
    assert [(t.event, t.data["seq"]) for t in told] == [(f"message:{k}", seq) for k, seq in moves]
    at = [t.data["at"] for t in told]
    assert await read_times(talk) == [
        (at[0], at[1]),
        (at[0], at[3]),
        (at[2], at[3]),
        (at[2], at[3]),
        (at[4], at[4]),
    ]


async def test_markers_never_move_back_nor_past_the_end(server: Instance) -> None:
    talk = await start_talk(server)
    for _ in range(3):
        await talk.send(talk.patient)
    device = await server.connect(talk.patient)

    async def move(kind: str, seq: int) -> tuple[int, int]:
        answer = await talk.ask(talk.psychologist, f"message:{kind}", seq=seq)
        return answer["seq"], answer["unread"]

    assert await move("delivered", 2) == (2, 3)
    assert await move("delivered", 1) == (2, 3)
    assert await move("read", 0) == (0, 3)
    assert await move("read", 2) == (2, 1)
    assert await move("read", 1) == (2, 1)
    assert await move("delivered", 2) == (2, 1)
    assert await move("read", 1000) == (3, 0)
    assert await move("delivered", 2**53 - 1) == (3, 0)

    await fence(device)
    told = [t.data["seq"] for t in device.pushes()]
    assert told == [2, 2, 3], "only moves are told"


async def test_a_marker_wants_a_seq(server: Instance) -> None:
    talk = await start_talk(server)

    for event in ("message:read", "message:delivered"):
        for seq in (-1, 2**53, "1", None, 1.5):
            assert await refusal(talk.ask(talk.patient, event, seq=seq)) == "invalid"


async def test_answering_reads_everything_before(server: Instance) -> None:
    talk = await start_talk(server)
    for _ in range(3):
        await talk.send(talk.patient)
    assert (await talk.ask(talk.psychologist, "chat:get"))["unread"] == 3

    sent = await talk.send(talk.psychologist, "An answer")

    seen = await talk.ask(talk.psychologist, "chat:get")
    assert (seen["read_seq"], seen["unread"]) == (4, 0)
    at = sent["created_at"]
    assert await read_times(talk) == [(at, at)] * 3 + [(None, None)]
    assert (await talk.ask(talk.patient, "chat:get"))["unread"] == 1


@pytest.mark.parametrize("count", [NEAR, NEAR + 1])
async def test_an_answer_reads_however_much_there_is(server: Instance, count: int) -> None:
    """Where it is much, the answer is far from what it read, and leaves a receipt."""
    talk = await start_talk(server)
    for _ in range(count):
        await talk.send(talk.patient)
    (unread,) = await talk.history(talk.patient, before=2)
    assert unread["read_at"] is None

    answer = await talk.send(talk.psychologist)

    for seq in (1, count):
        (item,) = await talk.history(talk.patient, before=seq + 1, limit=1)
        assert (item["delivered_at"], item["read_at"]) == (answer["created_at"],) * 2
    async with server.runtime.database.session(write=False) as db:
        receipts = list(await db.scalars(select(Receipt.seq)))
    assert receipts == ([count + 1] if count > NEAR else [])


def test_a_batch_of_messages_is_near() -> None:
    """Who answers within a batch leaves no receipt of what they read of that batch."""
    assert chat.events["message:send"].batch <= NEAR


async def test_ones_own_messages_are_never_unread(server: Instance) -> None:
    talk = await start_talk(server)
    for _ in range(3):
        await talk.send(talk.patient)

    answer = await talk.ask(talk.patient, "message:read", seq=1)

    assert answer == {"chat_id": talk.chat_id, "seq": 3, "unread": 0, "total_unread": 0}
    assert await read_times(talk) == [(None, None)] * 3


async def test_the_last_message_of_a_chat_tells_when_it_was_read(server: Instance) -> None:
    talk = await start_talk(server)
    await talk.send(talk.psychologist)
    await talk.send(talk.patient)
    await talk.ask(talk.psychologist, "message:delivered", seq=2)
    await talk.ask(talk.psychologist, "message:read", seq=2)

    seen = await talk.ask(talk.patient, "chat:get")

    assert seen["last_message"] == (await talk.history(talk.patient))[-1]
    assert seen["last_message"]["delivered_at"] < seen["last_message"]["read_at"]


async def test_a_page_knows_of_moves_beyond_it(server: Instance) -> None:
    talk = await start_talk(server)
    for _ in range(6):
        await talk.send(talk.patient)
    await talk.ask(talk.psychologist, "message:delivered", seq=5)
    await talk.ask(talk.psychologist, "message:read", seq=6)
    whole = await talk.history(talk.patient)

    for seq in range(1, 7):
        page = await talk.history(talk.patient, after=seq - 1, limit=1)
        assert page == whole[seq - 1 : seq]


async def test_unread_counts_every_chat(server: Instance) -> None:
    first, second = await start_talk(server), await start_talk(server)
    await server.relate(first.psychologist, second.patient)
    other_id = await server.open_chat(first.psychologist, second.patient)
    other = Talk(server, first.psychologist, second.patient, other_id)
    device = await server.connect(first.psychologist)
    for talk, count in ((first, 2), (other, 3)):
        for _ in range(count):
            await talk.send(talk.patient)

    counts = {
        "total": 5,
        "chats": [
            {"chat_id": first.chat_id, "unread": 2},
            {"chat_id": other.chat_id, "unread": 3},
        ],
    }
    assert await device.ask("unread:get") == counts
    await device.wait_for_last("unread:changed", counts)
    answer = await device.ask("message:read", {"chat_id": first.chat_id, "seq": 2})
    assert (answer["unread"], answer["total_unread"]) == (0, 3)
    late = await server.connect(first.psychologist)
    greeting = (await late.wait_for("unread:changed")).data
    assert greeting == {"total": 3, "chats": [{"chat_id": other.chat_id, "unread": 3}]}

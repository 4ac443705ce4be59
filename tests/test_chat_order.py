"""Order and batches: what one client sends is done and answered in the order sent."""

import asyncio
from typing import Any
from uuid import uuid4

from tests.client import Client, Refused
from tests.instance import Instance
from tests.talks import message, start_talk

COUNT = 200
WRITERS = 20


async def ask_all(device: Client, asked: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """Ask everything at once; the answers in the order in which they came."""
    answers: list[tuple[int, Any]] = []

    async def ask(place: int, event: str, payload: dict[str, Any]) -> None:
        try:
            answers.append((place, await device.ask(event, payload)))
        except Refused as error:
            answers.append((place, error.code))

    await asyncio.gather(*(ask(place, *one) for place, one in enumerate(asked)))
    assert [place for place, _ in answers] == list(range(len(asked))), "answered in another order"
    return [answer for _, answer in answers]


async def test_messages_are_stored_and_answered_in_the_order_sent(server: Instance) -> None:
    talk = await start_talk(server)
    writer, reader = await server.connect(talk.patient), await server.connect(talk.psychologist)
    asked = [("message:send", message(talk.chat_id, str(n))) for n in range(COUNT)]

    answers = await ask_all(writer, asked)

    assert [(answer["seq"], answer["text"]) for answer in answers] == [
        (n + 1, str(n)) for n in range(COUNT)
    ]
    await reader.wait_for("message:created", count=COUNT)
    for device in (writer, reader):
        assert [told.data for told in device.pushes()] == answers
        seqs = [told.seq or 0 for told in device.pushes()]
        assert seqs == list(range(seqs[0], seqs[0] + COUNT))


async def test_different_events_keep_their_order_too(server: Instance) -> None:
    talk = await start_talk(server)
    writer = await server.connect(talk.patient)
    asked: list[tuple[str, dict[str, Any]]] = []
    for n in range(1, 21):
        mine = {"chat_id": talk.chat_id, "seq": n}
        asked += [
            ("message:send", message(talk.chat_id, f"draft {n}")),
            ("message:edit", {**mine, "text": f"final {n}"}),
            ("message:history", {"chat_id": talk.chat_id, "limit": 1}),
            ("message:read", mine),
        ]

    answers = await ask_all(writer, asked)

    for n in range(1, 21):
        sent, edited, history, read = answers[4 * n - 4 : 4 * n]
        assert (sent["seq"], sent["text"]) == (n, f"draft {n}")
        assert edited["text"] == f"final {n}"
        assert history["items"] == [edited]
        assert read["seq"] == n


async def test_one_bad_request_in_a_batch_fails_alone(server: Instance) -> None:
    talk, other = await start_talk(server), await start_talk(server)
    closed = await start_talk(server)
    await server.relate(closed.psychologist, talk.patient)
    closed_id = await server.open_chat(closed.psychologist, talk.patient)
    await server.ask(closed.psychologist, "/care", "relation:end", {"user_id": talk.patient.id})
    writer = await server.connect(talk.patient)
    ref = str(uuid4())
    asked = [
        message(talk.chat_id, "1"),
        message(other.chat_id, "not mine"),
        message(talk.chat_id, ""),
        message(talk.chat_id, "2", ref=ref),
        message(closed_id, "too late"),
        message(talk.chat_id, "2", ref=ref),
        message(talk.chat_id, "not the same", ref=ref),
        message(999_999, "nowhere"),
        message(talk.chat_id, "3"),
    ]

    answers = await ask_all(writer, [("message:send", payload) for payload in asked])

    assert [answer if isinstance(answer, str) else answer["text"] for answer in answers] == [
        "1",
        "not_found",
        "invalid",
        "2",
        "chat_closed",
        "2",
        "conflict",
        "not_found",
        "3",
    ]
    assert answers[3] == answers[5]
    texts = [item["text"] for item in await talk.history(talk.patient)]
    assert texts == ["1", "2", "3"]
    assert await other.history(other.patient) == []


async def test_one_bad_marker_in_a_batch_fails_alone(server: Instance) -> None:
    talk, other = await start_talk(server), await start_talk(server)
    for _ in range(5):
        await talk.send(talk.patient)
    reader = await server.connect(talk.psychologist)
    asked = [
        ("message:read", {"chat_id": chat_id, "seq": seq})
        for chat_id, seq in [(talk.chat_id, 2), (other.chat_id, 1), (talk.chat_id, 4)]
    ]

    first, bad, last = await ask_all(reader, asked)

    assert bad == "not_found"
    assert first["seq"] in (2, 4), "a batch may move the marker at once"
    assert (last["seq"], last["unread"], last["total_unread"]) == (4, 1, 1)


async def test_many_people_writing_at_once_all_get_their_own_answer(server: Instance) -> None:
    psychologist = (talk := await start_talk(server)).psychologist
    patients = [talk.patient, *[await server.add_person() for _ in range(WRITERS - 1)]]
    await asyncio.gather(*(server.relate(psychologist, patient) for patient in patients[1:]))
    chat_ids = [await server.open_chat(psychologist, patient) for patient in patients]
    devices = [await server.connect(patient) for patient in patients]
    reader = await server.connect(psychologist)

    async def write(device: Client, chat_id: int) -> None:
        asked = [("message:send", message(chat_id, f"{chat_id} {n}")) for n in range(10)]
        answers = await ask_all(device, asked)
        assert [(a["chat_id"], a["seq"], a["text"]) for a in answers] == [
            (chat_id, n + 1, f"{chat_id} {n}") for n in range(10)
        ]

    await asyncio.gather(*map(write, devices, chat_ids))

    await reader.wait_for("message:created", count=10 * WRITERS)
    seqs = [told.seq or 0 for told in reader.pushes()]
    assert seqs == list(range(seqs[0], seqs[0] + 10 * WRITERS))
    assert (await reader.ask("unread:get"))["total"] == 10 * WRITERS

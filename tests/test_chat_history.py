"""History: looking back at a chat, page by page, in either direction."""

from typing import Any

import pytest

from tests.instance import Instance
from tests.talks import Talk, message, refusal, start_talk

COUNT = 12


PAGES: list[tuple[dict[str, Any], range, bool]] = [
    ({}, range(1, 13), False),
    ({"limit": 12}, range(1, 13), False),
    ({"limit": 5}, range(8, 13), True),
    ({"limit": 5, "skip": 5}, range(3, 8), True),
    ({"limit": 5, "skip": 10}, range(1, 3), False),
    ({"limit": 5, "skip": 12}, range(0), False),
    ({"limit": 5, "skip": 1_000_000}, range(0), False),
    ({"limit": 4, "before": 8}, range(4, 8), True),
    ({"limit": 4, "before": 8, "skip": 2}, range(2, 6), True),
    ({"limit": 4, "before": 4}, range(1, 4), False),
    ({"limit": 4, "before": 1}, range(0), False),
    ({"limit": 4, "before": 0}, range(0), False),
    ({"limit": 4, "before": 13}, range(9, 13), True),
    ({"limit": 4, "before": 500}, range(9, 13), True),
    ({"limit": 4, "after": 0}, range(1, 5), True),
    ({"limit": 4, "after": 6}, range(7, 11), True),
    ({"limit": 4, "after": 6, "skip": 2}, range(9, 13), False),
    ({"limit": 4, "after": 8}, range(9, 13), False),
    ({"limit": 4, "after": 12}, range(0), False),
    ({"limit": 4, "after": 500}, range(0), False),
]


IMPOSSIBLE: list[dict[str, Any]] = [
    {"limit": 0},
    {"limit": 101},
    {"skip": -1},
    {"skip": 1_000_001},
    {"before": -1},
    {"after": -1},
    {"before": 2**53},
    {"before": 5, "after": 2},
    {"before": "5"},
]


@pytest.fixture
async def talk(server: Instance) -> Talk:
    """A chat with twelve messages, the fifth of them deleted."""
    talk = await start_talk(server)
    for n in range(COUNT):
        await talk.send(talk.people[n % 2], str(n + 1))
    await talk.ask(talk.psychologist, "message:delete", seq=5)
    return talk


async def test_a_page_holds_what_was_asked_for(talk: Talk) -> None:
    for wanted, seqs, has_more in PAGES:
        answer = await talk.ask(talk.patient, "message:history", **wanted)

        assert [item["seq"] for item in answer["items"]] == list(seqs), wanted
        assert answer["has_more"] is has_more, wanted
        assert answer["total"] == COUNT
        assert answer["skip"] == wanted.get("skip", 0)
        assert answer["limit"] == wanted.get("limit", 20)
        for item in answer["items"]:
            assert item["text"] == ("" if item["seq"] == 5 else str(item["seq"]))
            assert item["deleted"] is (item["seq"] == 5)


async def test_pages_in_either_direction_make_up_the_whole(talk: Talk) -> None:
    whole = await talk.history(talk.patient)
    backwards: list[Any] = []
    forwards: list[Any] = []
    has_more = True
    while has_more:
        before = {"before": backwards[0]["seq"]} if backwards else {}
        page = await talk.ask(talk.psychologist, "message:history", limit=5, **before)
        backwards, has_more = page["items"] + backwards, page["has_more"]
    has_more = True
    while has_more:
        after = forwards[-1]["seq"] if forwards else 0
        page = await talk.ask(talk.psychologist, "message:history", limit=5, after=after)
        forwards, has_more = forwards + page["items"], page["has_more"]

    assert backwards == forwards == whole


async def test_an_impossible_page_is_refused(talk: Talk) -> None:
    for wanted in IMPOSSIBLE:
        assert await refusal(talk.ask(talk.patient, "message:history", **wanted)) == "invalid"


async def test_an_empty_chat_has_an_empty_history(server: Instance) -> None:
    talk = await start_talk(server)

    answer = await talk.ask(talk.patient, "message:history")

    assert answer == {"items": [], "total": 0, "skip": 0, "limit": 20, "has_more": False}


async def test_a_page_is_never_longer_than_a_hundred(server: Instance) -> None:
    talk = await start_talk(server)
    writer = await server.connect(talk.patient)
    for n in range(130):
        await writer.emit("message:send", message(talk.chat_id, str(n)))
    await writer.wait_for("message:created", count=130)

    newest = await talk.ask(talk.patient, "message:history", limit=100)

    assert [item["seq"] for item in newest["items"]] == list(range(31, 131))
    assert newest["has_more"] is True

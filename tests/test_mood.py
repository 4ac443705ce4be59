"""Diaries: entries are written, changed, taken away, and told to those who may read them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from storage.accounts import Role
from tests.client import Client
from tests.diaries import MOOD, days_ago, fence, list_read, start_diary
from tests.instance import Instance
from tests.talks import refusal


def told_in(device: Client) -> list[tuple[str, Any]]:
    return [(told.event, told.data) for told in device.pushes(MOOD)]


async def test_an_entry_is_whole_and_told_to_every_device(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    diary = await start_diary(server, patient, "Asia/Kathmandu")
    devices = [await server.connect(one, MOOD) for one in (patient, patient, psychologist)]
    written = {
        "score": 7,
        "note": "Slept well.\n\U0001f600",
        "tags": ["calm", " family ", "calm"],
        "activities": ["running"],
        "at": "2026-03-01T20:00:00+01:00",
    }

    entry = await devices[0].ask("entry:add", written, namespace=MOOD)

    assert entry == {
        "id": entry["id"],
        "user_id": patient.id,
        "score": 7,
        "note": "Slept well.\n\U0001f600",
        "tags": ["calm", "family"],
        "activities": ["running"],
        "at": "2026-03-01T19:00:00Z",
        "time_zone": "Asia/Kathmandu",
        "local_date": "2026-03-02",  # a quarter to one at night
        "created_at": entry["created_at"],
        "updated_at": None,
    }
    for device in devices:
        await device.wait_for("entry:added", namespace=MOOD)
        assert told_in(device) == [("entry:added", entry)]
    assert await diary.list() == [entry]
    assert await list_read(server, psychologist, diary) == [entry]


async def test_an_entry_without_a_moment_is_about_now(server: Instance) -> None:
    diary = await start_diary(server)

    entry = await diary.add(1)

    assert entry["at"] == entry["created_at"]
    assert entry["local_date"] == entry["at"][:10]
    assert (entry["note"], entry["tags"], entry["activities"]) == (None, [], [])


async def test_what_is_left_out_of_an_update_stays(server: Instance) -> None:
    diary = await start_diary(server)
    device = await server.connect(diary.person, MOOD)
    first = await diary.add_on(days_ago(3), 4, note="Bad", tags=["work"], activities=["tv"])
    about = {"entry_id": first["id"]}

    scored = await diary.ask("entry:update", **about, score=9)
    assert scored == {**first, "score": 9, "updated_at": scored["updated_at"]}
    assert scored["updated_at"] > first["created_at"]
    emptied = await diary.ask("entry:update", **about, note=None, tags=[], activities=["tv", "tea"])
    assert emptied == {
        **scored,
        "note": None,
        "tags": [],
        "activities": ["tv", "tea"],
        "updated_at": emptied["updated_at"],
    }
    same = await diary.ask("entry:update", **about, at=first["at"])
    assert same == emptied
    await fence(device)
    assert told_in(device) == [
        ("entry:added", first),
        ("entry:updated", scored),
        ("entry:updated", emptied),
    ]
    assert await diary.list() == [emptied]


async def test_an_entry_keeps_the_zone_it_was_written_in(server: Instance) -> None:
    diary = await start_diary(server, zone="Pacific/Kiritimati")  # UTC+14
    entry = await diary.add(at="2026-05-01T11:00:00Z")
    assert entry["local_date"] == "2026-05-02"
    await start_diary(server, diary.person, "America/New_York")

    moved = await diary.ask("entry:update", entry_id=entry["id"], at="2026-05-01T09:59:00Z")
    other = await diary.add(at="2026-05-01T11:00:00Z")

    assert (moved["local_date"], moved["time_zone"]) == ("2026-05-01", "Pacific/Kiritimati")
    assert (other["local_date"], other["time_zone"]) == ("2026-05-01", "America/New_York")


async def test_an_entry_is_taken_away_once(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    diary = await start_diary(server, patient)
    device = await server.connect(psychologist, MOOD)
    entry = await diary.add()
    about = {"entry_id": entry["id"]}

    gone = await diary.ask("entry:delete", **about)

    assert gone == {"entry_id": entry["id"], "user_id": patient.id}
    assert (await device.wait_for("entry:deleted", namespace=MOOD)).data == gone
    assert await diary.list() == []
    assert await refusal(diary.ask("entry:delete", **about)) == "not_found"
    assert await refusal(diary.ask("entry:update", **about, score=1)) == "not_found"
    assert (await diary.add())["id"] > entry["id"]


async def test_a_repeated_request_adds_nothing(server: Instance) -> None:
    diary = await start_diary(server)
    device = await server.connect(diary.person, MOOD)
    ref = str(uuid4())

    first, again = [await diary.add(6, client_ref=ref) for _ in range(2)]

    assert first == again
    assert await refusal(diary.add(7, client_ref=ref)) == "conflict"
    await fence(device)
    assert told_in(device) == [("entry:added", first)]


async def test_entries_are_listed_the_latest_day_and_moment_first(server: Instance) -> None:
    diary = await start_diary(server)
    asked = [(5, 9), (1, 9), (5, 20), (3, 0), (1, 23.99)]
    written = [await diary.add_on(days_ago(day), hour=hour) for day, hour in asked]
    ordered = [written[place]["id"] for place in (4, 1, 3, 2, 0)]

    answer = await diary.ask("entry:list", skip=1, limit=3)
    assert [entry["id"] for entry in answer["items"]] == ordered[1:4]
    assert (answer["total"], answer["skip"], answer["limit"]) == (5, 1, 3)

    span = {"from": f"{days_ago(3)}", "to": f"{days_ago(1)}"}
    answer = await diary.ask("entry:list", **span)
    assert [entry["id"] for entry in answer["items"]] == ordered[:3]
    assert answer["total"] == 3
    assert len(await diary.list(to=f"{days_ago(5)}")) == 2
    assert len(await diary.list(**{"from": f"{days_ago(1)}"})) == 2


async def test_only_those_in_charge_now_are_told_and_may_read(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    former, invited, stranger = [await server.add_person(Role.PSYCHOLOGIST) for _ in range(3)]
    await server.relate(former, patient)
    await server.ask(patient, "/care", "relation:end", {"user_id": former.id})
    await server.ask(invited, "/care", "relation:invite", {"email": patient.email})
    other = await server.add_person()
    await server.relate(psychologist, other)
    outside = [former, invited, stranger, other]
    devices = [await server.connect(person, MOOD) for person in outside]
    diary = await start_diary(server, patient)

    entry = await diary.add()

    for person, device in zip(outside, devices, strict=True):
        await fence(device)
        assert told_in(device) == []
        assert await refusal(list_read(server, person, diary)) == "not_found"
        for event, payload in (
            ("entry:update", {"entry_id": entry["id"], "score": 1}),
            ("entry:delete", {"entry_id": entry["id"]}),
        ):
            assert await refusal(server.ask(person, MOOD, event, payload)) == "not_found"
    # Reading is not writing.
    changing = server.ask(psychologist, MOOD, "entry:delete", {"entry_id": entry["id"]})
    assert await refusal(changing) == "not_found"
    assert await list_read(server, psychologist, diary) == [entry] == await diary.list()
    assert await diary.list(patient_id=patient.id) == [entry]


async def test_a_psychologist_is_told_until_the_relation_ends(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    diary = await start_diary(server, patient)
    device = await server.connect(psychologist, MOOD)
    entry = await diary.add()

    await server.ask(patient, "/care", "relation:end", {"user_id": psychologist.id})
    await diary.add()

    await fence(device)
    assert told_in(device) == [("entry:added", entry)]
    assert await refusal(list_read(server, psychologist, diary)) == "not_found"


async def test_others_have_no_diary(server: Instance) -> None:
    for role in (Role.ADMIN, Role.MERCHANT):
        diary = await start_diary(server, await server.add_person(role))
        for asking in (diary.add(), diary.list()):
            assert await refusal(asking) == "forbidden"


@pytest.mark.parametrize(
    "entry",
    [
        {"score": 0},
        {"score": 11},
        {"score": 5.5},
        {"score": "5"},
        {},
        {"score": 5, "note": ""},
        {"score": 5, "note": "x" * 5001},
        {"score": 5, "tags": ["x" * 41]},
        {"score": 5, "tags": [" "]},
        {"score": 5, "tags": ["a\nb"]},
        {"score": 5, "tags": [f"{n}" for n in range(21)]},
        {"score": 5, "activities": "running"},
        {"score": 5, "activities": [f"{n}" for n in range(21)]},
        {"score": 5, "at": "yesterday"},
        {"score": 5, "at": "2026-05-01"},
        {"score": 5, "at": "2026-05-01T10:00:00"},
        {"score": 5, "at": 1777629600},
        {"score": 5, "at": "1999-05-01T10:00:00Z"},
        {"score": 5, "at": "0001-01-01T00:00:00+14:00"},
        {"score": 5, "at": "9999-12-31T23:59:59-14:00"},
        {"score": 5, "local_date": "2026-05-01"},
    ],
)
async def test_what_is_no_entry_is_refused(server: Instance, entry: dict[str, Any]) -> None:
    diary = await start_diary(server)

    assert await refusal(diary.ask("entry:add", **entry)) == "invalid"
    assert await diary.list() == []


async def test_clocks_may_differ_a_little(server: Instance) -> None:
    diary = await start_diary(server)
    now = datetime.now(UTC)

    await diary.add(at=(now + timedelta(minutes=4)).isoformat())
    ahead = diary.add(at=(now + timedelta(minutes=6)).isoformat())
    assert await refusal(ahead) == "invalid"
    await diary.add(at=(now - timedelta(days=3650)).isoformat())


async def test_a_day_has_room_for_a_hundred(server: Instance) -> None:
    diary = await start_diary(server)
    device = await server.connect(diary.person, MOOD)
    day = days_ago(2)
    at: dict[str, Any] = {"at": f"{day}T10:00:00Z"}
    for _ in range(100):
        last = await device.ask("entry:add", {"score": 5, **at}, namespace=MOOD)
    other = await diary.add_on(days_ago(1))

    assert await refusal(diary.add(**at)) == "invalid"
    moving = diary.ask("entry:update", entry_id=other["id"], **at)
    assert await refusal(moving) == "invalid"
    await diary.ask("entry:update", entry_id=last["id"], at=f"{day}T11:00:00Z", score=2)
    await diary.ask("entry:delete", entry_id=last["id"])
    await diary.add(**at)

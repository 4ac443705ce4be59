"""Old entries and what is told of them are the new ones, for the author and the reader."""

import random
from typing import Any

import pytest

from tests.client import Client
from tests.diaries import MOOD, Diary, days_ago, fence, start_diary
from tests.instance import Instance
from tests.snapshots import Snapshot, diary_snapshot, fold

ZONES = ("UTC", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago")


async def look(device: Client, **whose: int) -> Snapshot:
    wanted = {"limit": 100, **whose}
    return diary_snapshot(await device.ask("entry:list", wanted, namespace=MOOD))


async def act(diary: Diary, chance: random.Random) -> None:
    listed = await diary.list(limit=100)
    kind = chance.choice(["add", "add", "update", "update", "delete", "move"])
    if kind == "move":
        await start_diary(diary.server, diary.person, chance.choice(ZONES))
    elif kind == "add" or not listed:
        entry: dict[str, Any] = {"tags": ["a"]} if chance.random() < 0.5 else {"note": "Hm"}
        await diary.add_on(days_ago(chance.randint(1, 5)), chance.randint(1, 10), **entry)
    elif kind == "update":
        one = chance.choice(listed)
        changes = {"score": chance.randint(1, 10), "at": chance.choice(listed)["at"]}
        await diary.ask("entry:update", entry_id=one["id"], **changes)
    else:
        await diary.ask("entry:delete", entry_id=chance.choice(listed)["id"])


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_snapshot_and_what_is_told_make_the_next_snapshot(
    server: Instance, seed: int
) -> None:
    psychologist, patient = await server.connect_pair()
    diary, chance = await start_diary(server, patient), random.Random(seed)
    for _ in range(10):
        await act(diary, chance)
    author, reader = await server.connect(patient, MOOD), await server.connect(psychologist, MOOD)
    whose = {"patient_id": patient.id}
    before = await look(author), await look(reader, **whose)
    assert before[0] == before[1]

    for _ in range(60):
        await act(diary, chance)

    after = await look(author)
    assert await look(reader, **whose) == after
    for device in (author, reader):
        await fence(device)
        told = device.pushes(MOOD)
        assert len({one.event for one in told}) == 3
        assert fold(before[0], told, 0) == after


async def test_who_comes_back_is_told_what_they_missed(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    diary = await start_diary(server, patient)
    first = await diary.add()
    device = await server.connect(psychologist, MOOD)
    before = await look(device, patient_id=patient.id)
    seen = (await device.wait_for("stream:ready", namespace=MOOD)).data["head"]
    await device.close()

    second = await diary.add()
    await diary.ask("entry:delete", entry_id=first["id"])

    back = await server.connect(psychologist, MOOD, after=seen)
    await back.wait_for("entry:deleted", namespace=MOOD)
    assert fold(before, back.pushes(MOOD), 0) == {"entries": [second]}

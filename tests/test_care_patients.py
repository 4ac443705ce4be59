"""A psychologist's patients: the list, how one has been, and that both are live."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.accounts import Role
from tests.client import Client
from tests.diaries import MOOD, Diary, days_ago, start_diary
from tests.instance import Instance, Person
from tests.questionnaires import GAD7, PHQ9, SPACE, submit
from tests.snapshots import Snapshot, fold, patients_snapshot, stats_snapshot
from tests.talks import Talk, fence, refusal

CARE = "/care"


async def list_patients(server: Instance, person: Person, **wanted: Any) -> Any:
    return await server.ask(person, CARE, "patient:list", wanted)


async def list_names(server: Instance, person: Person, sort: str) -> list[str]:
    listed = await list_patients(server, person, sort=sort)
    return [item["patient"]["name"] for item in listed["items"]]


async def get_stats(server: Instance, person: Person, patient: Person, **wanted: Any) -> Any:
    asked = {"patient_id": patient.id, "from": f"{days_ago(30)}", "to": f"{days_ago(0)}", **wanted}
    return await server.ask(person, CARE, "patient:stats", asked)


async def test_a_patient_in_the_list(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    (relation,) = (await server.ask(psychologist, CARE, "relation:list", {}))["items"]
    listed = await list_patients(server, psychologist)
    assert listed == {
        "items": [
            {
                "patient": relation["patient"],
                "since": relation["since"],
                "last_seen_at": None,
                "chat_id": None,
                "unread": 0,
                "last_mood": None,
                "last_results": [],
                "open_alerts": 0,
            }
        ],
        "total": 1,
        "skip": 0,
        "limit": 20,
    }
    talk = Talk(server, psychologist, patient, await server.open_chat(psychologist, patient))
    await talk.send(patient)
    diary = await start_diary(server, patient)
    await diary.add_on(days_ago(1), 9)
    entry = await diary.add(4)
    await diary.add_on(days_ago(2), 8)
    await submit(server, patient, PHQ9, [3] * 9)
    results = [
        await submit(server, patient, PHQ9, [0] * 8 + [1]),
        await submit(server, patient, GAD7, [0] * 7),
    ]

    (item,) = (await list_patients(server, psychologist))["items"]

    assert (item["chat_id"], item["unread"], item["open_alerts"]) == (talk.chat_id, 1, 2)
    assert item["last_mood"] == {"entry_id": entry["id"], "score": 4, "at": entry["at"]}
    shown = {one["code"]: one for one in item["last_results"]}
    for result in results:
        assert shown[result["code"]] == {
            "result_id": result["id"],
            "test_id": result["test_id"],
            "code": result["code"],
            "total": result["total"],
            "severity": result["severity"]["code"],
            "flags": result["flags"],
            "created_at": result["created_at"],
        }


async def test_patients_are_sorted(server: Instance) -> None:
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    patients = [await server.add_person(name=name) for name in ("Bea", "Ada", "Cid")]
    for patient in patients:
        await server.relate(psychologist, patient)
    bea, ada, cid = patients
    await (await start_diary(server, ada)).add(8)
    await (await start_diary(server, cid)).add(2)
    await submit(server, bea, PHQ9, [0] * 8 + [1])
    await Talk(server, psychologist, ada, await server.open_chat(psychologist, ada)).send(ada)
    left = await server.connect(ada, CARE)
    await left.close()
    expected = {
        "since": ["Cid", "Ada", "Bea"],
        "name": ["Ada", "Bea", "Cid"],
        "mood": ["Cid", "Ada", "Bea"],
        "alerts": ["Bea", "Cid", "Ada"],
        "unread": ["Ada", "Cid", "Bea"],
    }
    for sort, names in expected.items():
        assert await list_names(server, psychologist, sort) == names, sort
    assert (await list_names(server, psychologist, "last_seen"))[0] in ("Ada", "Cid")
    page = await list_patients(server, psychologist, sort="name", skip=1, limit=1)
    assert (page["total"], [item["patient"]["name"] for item in page["items"]]) == (3, ["Bea"])
    asking = list_patients(server, psychologist, sort="height")
    assert await refusal(asking) == "invalid"


async def test_how_a_patient_has_been(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    diary = await start_diary(server, patient, "Pacific/Kiritimati")
    for days, score in ((40, 1), (3, 4), (3, 7), (2, 5)):
        await diary.add_on(days_ago(days), score)
    results = [await submit(server, patient, PHQ9, [n] * 8 + [0]) for n in (2, 1)]
    tomorrow = f"{datetime.now(UTC).date() + timedelta(days=1)}"

    stats = await get_stats(server, psychologist, patient, to=tomorrow)

    assert stats["patient"]["id"] == patient.id
    days = stats["mood"].pop("days")
    assert stats["mood"] == {"n": 3, "min": 4, "max": 7, "mean": pytest.approx(16 / 3)}
    assert days == [
        {"date": f"{days_ago(3)}", "n": 2, "min": 4, "max": 7, "mean": 5.5},
        {"date": f"{days_ago(2)}", "n": 1, "min": 5, "max": 5, "mean": 5},
    ]
    assert [(one["result_id"], one["total"]) for one in stats["results"]] == [
        (result["id"], result["total"]) for result in results
    ]
    activity = stats["activity"]
    assert (activity["entries"], activity["results"], activity["days"]) == (3, 2, 2)
    empty = await get_stats(
        server, psychologist, patient, **{"from": "2020-01-01", "to": "2020-01-01"}
    )
    assert (empty["mood"]["n"], empty["mood"]["days"], empty["results"]) == (0, [], [])
    assert await server.ask(patient, MOOD, "entry:list", {"limit": 1})
    for wrong in ({"from": f"{days_ago(-3)}"}, {"from": "2020-01-01"}, {"to": "tomorrow"}):
        asking = get_stats(server, psychologist, patient, **wrong)
        assert await refusal(asking) == "invalid"


async def test_only_psychologists_have_patients_and_only_their_own(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    other, fellow = await server.add_person(Role.PSYCHOLOGIST), await server.add_person()
    admin = await server.add_person(Role.ADMIN)
    await submit(server, patient, PHQ9, [0] * 9)
    assert (await list_patients(server, other))["items"] == []
    assert await refusal(get_stats(server, other, patient)) == "not_found"
    for person in (patient, fellow, admin):
        assert await refusal(list_patients(server, person)) == "forbidden"
        assert await refusal(get_stats(server, person, patient)) == "forbidden"
    await server.ask(psychologist, CARE, "relation:end", {"user_id": patient.id})
    assert (await list_patients(server, psychologist))["items"] == []
    assert await refusal(get_stats(server, psychologist, patient)) == "not_found"
    asking = server.ask(psychologist, SPACE, "result:patient", {"patient_id": patient.id})
    assert await refusal(asking) == "not_found"


async def test_ending_the_relation_ends_the_news_at_once(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    device = await server.connect(psychologist, CARE, MOOD, SPACE)
    diary = await start_diary(server, patient)
    await diary.add(5)
    await device.wait_for("patient:updated", namespace=CARE)
    await server.ask(patient, CARE, "relation:end", {"user_id": psychologist.id})
    seen = [len(device.pushes(space)) for space in (MOOD, SPACE)]

    await diary.add(6)
    await submit(server, patient, PHQ9, [0] * 8 + [1])

    await device.ask("relation:list", namespace=CARE)
    assert [told.event for told in device.pushes(CARE)] == ["patient:updated", "relation:ended"]
    assert [len(device.pushes(space)) for space in (MOOD, SPACE)] == seen
    await server.relate(psychologist, patient)
    told = await device.wait_for("patient:updated", namespace=CARE, count=2)
    assert (told.data["last_mood"]["score"], told.data["open_alerts"]) == (6, 1)


class View:
    """A psychologist's open list of patients: a snapshot, and what is told after it."""

    def __init__(self, device: Client, before: Snapshot) -> None:
        self.device = device
        self.before = before

    @classmethod
    async def open(cls, server: Instance, psychologist: Person) -> "View":
        device = await server.connect(psychologist, CARE, "/chat")
        return cls(device, await look(device))

    async def fold(self, me: int) -> Snapshot:
        await self.device.ask("relation:list", namespace=CARE)
        return fold(self.before, self.device.pushes(CARE), me)


async def look(device: Client) -> Snapshot:
    return patients_snapshot(await device.ask("patient:list", {"limit": 100}, namespace=CARE))


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_snapshot_and_what_is_told_make_the_next_snapshot(
    server: Instance, seed: int
) -> None:
    chance = random.Random(seed)
    psychologists = [await server.add_person(Role.PSYCHOLOGIST) for _ in range(2)]
    diaries = [await start_diary(server) for _ in range(2)]
    for psychologist, diary in zip(psychologists, diaries, strict=True):
        await server.relate(psychologist, diary.person)
    for _ in range(10):
        await act(server, chance, psychologists, diaries)
    views = [await View.open(server, psychologist) for psychologist in psychologists]

    for _ in range(60):
        await act(server, chance, psychologists, diaries)

    for psychologist, view in zip(psychologists, views, strict=True):
        after = await look(view.device)
        assert await view.fold(psychologist.id) == after
        assert "patient:updated" in {told.event for told in view.device.pushes(CARE)}


@pytest.mark.parametrize("seed", [1, 2])
async def test_how_a_patient_has_been_is_kept_up_to_date(server: Instance, seed: int) -> None:
    chance = random.Random(seed)
    psychologist = await server.add_person(Role.PSYCHOLOGIST)
    diaries = [await start_diary(server) for _ in range(2)]
    for diary in diaries:
        await server.relate(psychologist, diary.person)
    for diary in diaries * 5:
        await change_diary(chance, diary)
    patient = diaries[0].person
    device = await server.connect(psychologist, CARE, SPACE)
    before = stats_snapshot(await get_stats(server, psychologist, patient))

    for _ in range(40):
        diary = chance.choice(diaries)
        if chance.random() < 0.3:
            await submit(server, diary.person, PHQ9, [chance.randint(0, 3) for _ in range(9)])
        else:
            await change_diary(chance, diary)

    after = stats_snapshot(await get_stats(server, psychologist, patient))
    for namespace, question in ((CARE, "relation:list"), (SPACE, "test:list")):
        await device.ask(question, namespace=namespace)
    assert after != before
    told = [one for one in device.pushes(SPACE) if one.event == "result:created"]
    assert fold(before, [*device.pushes(CARE), *told], psychologist.id) == after


async def test_a_day_is_told_as_it_is_now(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    diary = await start_diary(server, patient)
    device = await server.connect(psychologist, CARE)
    first, second = days_ago(2), days_ago(1)
    nothing = {"n": 0, "min": None, "max": None, "mean": None}

    await diary.add_on(first, 4)
    entry = await diary.add_on(first, 9)
    moved = {"entry_id": entry["id"], "at": f"{second}T12:00:00Z"}
    await diary.ask("entry:update", **moved)
    await diary.ask("entry:delete", entry_id=entry["id"])
    await submit(server, patient, PHQ9, [0] * 9)

    await device.wait_for("patient:updated", namespace=CARE, count=5)
    assert [told.data["days"] for told in device.pushes(CARE)] == [
        [{"date": f"{first}", "n": 1, "min": 4, "max": 4, "mean": 4}],
        [{"date": f"{first}", "n": 2, "min": 4, "max": 9, "mean": 6.5}],
        [
            {"date": f"{first}", "n": 1, "min": 4, "max": 4, "mean": 4},
            {"date": f"{second}", "n": 1, "min": 9, "max": 9, "mean": 9},
        ],
        [{"date": f"{second}", **nothing}],
        [],
    ]


async def act(
    server: Instance, chance: random.Random, psychologists: list[Person], diaries: list[Diary]
) -> None:
    psychologist, diary = chance.choice(psychologists), chance.choice(diaries)
    patient = diary.person
    kind = chance.choice(["mood"] * 4 + ["result"] * 3 + ["alert"] * 2 + ["relate", "end"])
    if kind == "mood":
        await change_diary(chance, diary)
    elif kind == "result":
        scores = [chance.randint(0, 3) for _ in range(9)]
        await submit(server, patient, chance.choice([PHQ9, GAD7]), scores)
    elif kind == "alert":
        for alert in (await server.ask(psychologist, SPACE, "alert:list", {}))["items"][:1]:
            verb = chance.choice(["acknowledge", "resolve"])
            await server.ask(psychologist, SPACE, f"alert:{verb}", {"alert_id": alert["id"]})
    else:
        listed = await list_patients(server, psychologist)
        is_theirs = patient.id in [item["patient"]["id"] for item in listed["items"]]
        if kind == "end" and is_theirs:
            await server.ask(psychologist, CARE, "relation:end", {"user_id": patient.id})
        elif kind == "relate" and not is_theirs:
            await server.relate(psychologist, patient)


async def change_diary(chance: random.Random, diary: Diary) -> None:
    listed = await diary.list(limit=100)
    kind = chance.choice(["add", "add", "update", "delete"])
    if kind == "add" or not listed:
        await diary.add_on(days_ago(chance.randint(1, 5)), chance.randint(1, 10))
    elif kind == "update":
        entry_id = chance.choice(listed)["id"]
        await diary.ask("entry:update", entry_id=entry_id, score=chance.randint(1, 10))
    else:
        await diary.ask("entry:delete", entry_id=chance.choice(listed)["id"])


async def test_unread_messages_are_told_in_the_chat(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    talk = Talk(server, psychologist, patient, await server.open_chat(psychologist, patient))
    device = await server.connect(psychologist, CARE, "/chat")

    await talk.send(patient)
    await talk.send(patient)

    (item,) = (await list_patients(server, psychologist))["items"]
    unread = {"total": 2, "chats": [{"chat_id": item["chat_id"], "unread": item["unread"]}]}
    await device.wait_for_last("unread:changed", unread)
    await fence(device)

"""After the end of a relation: nothing new, and nothing again of what was told before."""

from typing import Any
from uuid import uuid4

from tests.conftest import StartInstance
from tests.diaries import MOOD, days_ago, start_diary
from tests.instance import Instance, Person
from tests.questionnaires import PHQ9, SPACE, submit
from tests.talks import eventually
from tests.unfinished import perform_job

CARE = "/care"
PLACES = (CARE, MOOD, SPACE)
FIGURES = ("score", "total", "last_mood", "last_results", "open_alerts", "days", "note", "flags")


async def read_stream(server: Instance, person: Person, place: str) -> list[Any]:
    path = f"/events{place}?after=0"
    status, answer = await server.request("GET", path, token=person.token)
    assert status == 200, answer
    items: list[Any] = answer["data"]["items"]
    return items


def is_about(item: Any, person: Person) -> bool:
    data = item["data"]
    return person.id in (data.get("user_id"), data.get("patient_id"), get_patient_id(data))


def get_patient_id(data: Any) -> int | None:
    found: int | None = data.get("patient", {}).get("id")
    return found


def list_telling(items: list[Any], person: Person) -> list[Any]:
    """Those that say how somebody was."""
    mine = [item for item in items if is_about(item, person)]
    return [item for item in mine if any(item["data"].get(figure) for figure in FIGURES)]


async def live(server: Instance, patient: Person) -> None:
    """Write about oneself whatever psychologists are told of."""
    diary = await start_diary(server, patient)
    entry = await diary.add_on(days_ago(1), 3, note="Hm", tags=["work"])
    await diary.ask("entry:update", entry_id=entry["id"], score=4)
    await submit(server, patient, PHQ9, [2] * 8 + [1])


async def test_what_was_told_is_not_told_again(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    fellow = await server.add_person()
    await server.relate(psychologist, fellow)
    for person in (patient, fellow):
        await live(server, person)
    before = {place: await read_stream(server, psychologist, place) for place in PLACES}
    assert all(list_telling(items, patient) for items in before.values())

    await server.ask(patient, CARE, "relation:end", {"user_id": psychologist.id})

    async def is_silent() -> bool:
        streams = [await read_stream(server, psychologist, place) for place in PLACES]
        return not any(list_telling(items, patient) for items in streams)

    await eventually(is_silent)
    for place, items in before.items():
        after = await read_stream(server, psychologist, place)
        assert [item["meta"] for item in after[: len(items)]] == [item["meta"] for item in items]
        assert [item["event"] for item in after[len(items) :]] == ["relation:ended"] * (
            place == CARE
        )
        for item, old in zip(after, items, strict=False):
            assert item == old or is_about(item, patient)
        device = await server.connect(psychologist, place, after=0)
        await device.wait_for_seq(len(after), namespace=place)
        told = [(one.event, one.data) for one in device.pushes(place)]
        assert told == [(item["event"], item["data"]) for item in after]
    own = await read_stream(server, patient, MOOD)
    assert len(list_telling(own, patient)) == 2


async def test_a_repeated_request_does_not_tell_it_again_either(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    await live(server, patient)
    (alert,) = (await server.ask(psychologist, SPACE, "alert:list", {}))["items"]
    resolving = {"alert_id": alert["id"], "note": "Called", "client_ref": str(uuid4())}
    done = await server.ask(psychologist, SPACE, "alert:resolve", resolving)
    assert (done["note"], done["score"]) == ("Called", 1)

    await server.ask(patient, CARE, "relation:end", {"user_id": psychologist.id})

    async def ask_again() -> Any:
        again = await server.ask(psychologist, SPACE, "alert:resolve", resolving)
        return again if again != done else None

    again = await eventually(ask_again)
    assert (again["id"], again["note"], again["score"]) == (alert["id"], None, 0)


async def test_who_works_together_again_has_lost_nothing(start: StartInstance) -> None:
    server = await start(jobs=False)
    psychologist, patient = await server.connect_pair()
    await live(server, patient)
    before = await read_stream(server, psychologist, SPACE)

    await server.ask(psychologist, CARE, "relation:end", {"user_id": patient.id})
    await server.relate(psychologist, patient)
    await perform_job(server, "care.withdraw")

    assert await read_stream(server, psychologist, SPACE) == before

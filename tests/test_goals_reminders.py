"""Reminders: set, put off, moved to another zone, and fired each once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from jobs.perform import perform
from server.payload import iso
from storage.outbox import Job
from tests.conftest import StartInstance
from tests.devices import register, wait_until_quiet
from tests.goals import GOALS, add_goal, add_stages, ask, complete, undo
from tests.instance import Instance, Person
from tests.stand_ins.fcm import FcmStandIn
from tests.stand_ins.waiting import set_clock
from tests.talks import refusal

NOTES = "/notifications"
SOON = timedelta(minutes=5)
DAY = timedelta(days=1)


def soon(after: timedelta = SOON) -> datetime:
    """A minute that comes soon."""
    return (datetime.now(UTC) + after).replace(second=0, microsecond=0)


async def remind(server: Instance, person: Person, goal: Any, *at: datetime, **about: Any) -> Any:
    times = [f"{one:%H:%M}" for one in at]
    return await ask(server, person, "reminder:set", goal_id=goal["id"], times=times, **about)


async def find_jobs(server: Instance) -> list[Job]:
    async with server.runtime.database.session(write=False) as db:
        return list(await db.scalars(select(Job).where(Job.job == "goals.remind")))


async def test_a_reminder_is_set_changed_and_deleted(server: Instance) -> None:
    person = await server.add_person()
    goal, other = await add_goal(server, person), await add_goal(server, person)
    device = await server.connect(person, GOALS)
    at = soon()

    made = await remind(server, person, goal, at, at)
    elsewhere = await remind(server, person, other, at, every_days=3, starts_on="2190-01-01")

    assert made == {
        "id": made["id"],
        "goal_id": goal["id"],
        "times": [f"{at:%H:%M}"],
        "every_days": 1,
        "starts_on": f"{datetime.now(UTC):%Y-%m-%d}",
        "time_zone": "UTC",
        "next_at": iso(at),
        "snoozed": False,
    }
    assert elsewhere["next_at"].startswith("2190-01-01")
    listed = await ask(server, person, "reminder:list")
    assert (listed["items"], listed["total"]) == ([elsewhere, made], 2)
    of_one = await ask(server, person, "reminder:list", goal_id=goal["id"])
    assert (of_one["items"], of_one["total"]) == ([made], 1)
    later = at + timedelta(minutes=7)
    changed = await remind(server, person, goal, later, reminder_id=made["id"], every_days=2)
    assert changed == {
        **made,
        "times": [f"{later:%H:%M}"],
        "every_days": 2,
        "next_at": iso(later),
    }
    wrong = remind(server, person, other, at, reminder_id=made["id"])
    assert await refusal(wrong) == "not_found"
    assert await ask(server, person, "reminder:delete", reminder_id=made["id"]) == {}
    assert [job.key for job in await find_jobs(server)] == [f"{elsewhere['id']}"]
    told = [(await device.wait_for("goal:updated", namespace=GOALS, count=n)).data for n in (3, 4)]
    assert [goal["reminders"] for goal in told] == [[changed], []]


async def test_a_reminder_fires_and_comes_again(start: StartInstance, fcm: FcmStandIn) -> None:
    server = await start(**fcm.settings)
    person = await server.add_person()
    await register(server, person, "phone")
    goal = await add_goal(server, person, "Run")
    device = await server.connect(person, GOALS, NOTES)
    first, second = soon(), soon(SOON * 2)
    made = await remind(server, person, goal, first, second)

    await set_clock(server, ahead=SOON)
    due = (await device.wait_for("reminder:due", namespace=GOALS)).data
    note = (await device.wait_for("notification:created", namespace=NOTES)).data
    await set_clock(server, ahead=SOON + timedelta(seconds=6))
    await fcm.wait_for()
    await set_clock(server, ahead=SOON * 2)
    again = (await device.wait_for("reminder:due", namespace=GOALS, count=2)).data

    assert due == {"title": "Run", "reminder": {**made, "next_at": iso(second)}}
    assert again["reminder"]["next_at"] == iso(first + DAY)
    assert (note["type"], note["title"]) == ("reminder", "Run")
    assert note["data"] == {"goal_id": goal["id"], "reminder_id": made["id"]}
    # The one before was not read; it is the same thing, so there is one at a time.
    await device.wait_for("notification:created", namespace=NOTES, count=2)
    assert (await server.ask(person, NOTES, "unread:get", {}))["total"] == 1
    assert fcm.sent[0]["token"] == "phone"


async def test_a_reminder_fires_once_whoever_fires_it(start: StartInstance) -> None:
    server = await start(jobs=False)
    person = await server.add_person()
    goal = await add_goal(server, person)
    await remind(server, person, goal, at := soon())
    (job,) = await find_jobs(server)
    await set_clock(server, ahead=SOON)

    for _ in range(2):
        await asyncio.gather(*(perform(server.runtime, job.id) for _ in range(4)))

    feed = await server.ask(person, NOTES, "notification:list", {})
    assert feed["total"] == 1
    (again,) = await find_jobs(server)
    assert again.due_at == at + DAY


async def test_what_comes_much_too_late_stays_away(start: StartInstance) -> None:
    server = await start(jobs=False)
    person = await server.add_person()
    goal = await add_goal(server, person)
    await remind(server, person, goal, at := soon())
    (job,) = await find_jobs(server)

    await set_clock(server, ahead=DAY - timedelta(hours=1))
    await perform(server.runtime, job.id)

    assert (await server.ask(person, NOTES, "notification:list", {}))["total"] == 0
    (reminder,) = (await ask(server, person, "reminder:list"))["items"]
    assert reminder["next_at"] == iso(at + DAY)


async def test_what_is_done_is_reminded_of_no_more(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_stages(server, person, await add_goal(server, person), "A", "B")
    first, second = goal["stages"]
    device = await server.connect(person, GOALS, NOTES)
    made = await remind(server, person, goal, soon())
    await set_clock(server, ahead=SOON)
    due = (await device.wait_for("reminder:due", namespace=GOALS)).data["reminder"]
    note = (await device.wait_for("notification:created", namespace=NOTES)).data
    snoozed = await ask(server, person, "reminder:snooze", reminder_id=made["id"], minutes=10)
    assert snoozed["snoozed"]
    assert snoozed["next_at"] < due["next_at"]
    read = (await device.wait_for("notification:read", namespace=NOTES)).data
    assert read["notification_ids"] == [note["id"]]

    goal = await complete(server, person, first)
    assert goal["reminders"] == [due]  # no longer snoozed
    goal = await complete(server, person, second)
    assert goal["reminders"] == [{**due, "next_at": None}]
    assert await find_jobs(server) == []
    snoozing = ask(server, person, "reminder:snooze", reminder_id=made["id"], minutes=10)
    assert await refusal(snoozing) == "conflict"
    goal = await undo(server, person, second)
    assert goal["reminders"] == [due]
    archived = await ask(server, person, "goal:archive", goal_id=goal["id"])
    assert archived["reminders"] == [{**due, "next_at": None}]
    restored = await ask(server, person, "goal:restore", goal_id=goal["id"])
    assert restored["reminders"] == [due]
    await ask(server, person, "goal:delete", goal_id=goal["id"])
    assert await find_jobs(server) == []


async def test_a_completed_stage_takes_a_push_back_that_waits(
    start: StartInstance, fcm: FcmStandIn
) -> None:
    server = await start(**fcm.settings)
    person = await server.add_person()
    await register(server, person, "phone")
    goal = await add_stages(server, person, await add_goal(server, person), "A", "B")
    device = await server.connect(person, GOALS, NOTES)
    await remind(server, person, goal, soon())
    await set_clock(server, ahead=SOON)
    await device.wait_for("notification:created", namespace=NOTES)

    await complete(server, person, goal["stages"][0])

    await set_clock(server, ahead=SOON + timedelta(seconds=10))
    await wait_until_quiet(server)
    assert [push["notification"]["title"] for push in fcm.sent] == ["Earned: The first step"]


async def test_a_reminder_is_not_pushed_in_quiet_hours(
    start: StartInstance, fcm: FcmStandIn
) -> None:
    server = await start(**fcm.settings)
    person = await server.add_person()
    await register(server, person, "phone")
    goal = await add_goal(server, person, "Run")
    device = await server.connect(person, GOALS, NOTES)
    hours = {"starts": f"{soon(-SOON):%H:%M}", "ends": f"{soon(timedelta(hours=2)):%H:%M}"}
    await server.ask(person, "/account", "quiet_hours:update", hours)
    await remind(server, person, goal, soon())

    await set_clock(server, ahead=SOON)
    await device.wait_for("notification:created", namespace=NOTES)
    await set_clock(server, ahead=SOON + timedelta(seconds=10))
    await wait_until_quiet(server)
    assert fcm.sent == []
    await set_clock(server, ahead=timedelta(hours=2, minutes=1))
    await fcm.wait_for()
    assert [push["notification"]["title"] for push in fcm.sent] == ["Run"]


async def test_a_snoozed_reminder_comes_when_it_was_put_off_to(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_goal(server, person)
    device = await server.connect(person, GOALS)
    made = await remind(server, person, goal, at := soon())

    snoozed = await ask(server, person, "reminder:snooze", reminder_id=made["id"], minutes=30)
    await set_clock(server, ahead=timedelta(minutes=10))
    assert (await ask(server, person, "reminder:list"))["items"] == [snoozed]
    await set_clock(server, ahead=timedelta(minutes=31))

    due = (await device.wait_for("reminder:due", namespace=GOALS)).data["reminder"]
    assert due == {**made, "next_at": iso(at + DAY)}


async def test_the_deadline_ends_reminders(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_goal(server, person)
    at = soon()
    made = await remind(server, person, goal, at)
    about = {"goal_id": goal["id"]}

    over = await ask(server, person, "goal:update", **about, deadline=f"{at - DAY:%Y-%m-%d}")
    assert over["reminders"] == [{**made, "next_at": None}]
    assert await find_jobs(server) == []
    on_the_day = await ask(server, person, "goal:update", **about, deadline=f"{at:%Y-%m-%d}")
    assert on_the_day["reminders"] == [made]
    late = ask(server, person, "reminder:snooze", reminder_id=made["id"], minutes=24 * 60)
    assert await refusal(late) == "conflict"


async def test_who_moves_is_reminded_at_the_same_wall_time(server: Instance) -> None:
    person = await server.add_person()
    goal = await add_goal(server, person)
    device = await server.connect(person, GOALS)
    made = await remind(server, person, goal, soon(), starts_on="2190-01-01")
    utc = datetime.fromisoformat(made["next_at"])

    await server.ask(person, "/account", "profile:update", {"time_zone": "Asia/Kathmandu"})

    (moved,) = (await ask(server, person, "reminder:list"))["items"]
    there = iso(utc - timedelta(hours=5, minutes=45))
    assert moved == {**made, "time_zone": "Asia/Kathmandu", "next_at": there}
    told = await device.wait_for(
        "goal:updated", namespace=GOALS, where=lambda goal: goal["reminders"] == [moved]
    )
    assert told.data["id"] == goal["id"]
    (job,) = await find_jobs(server)
    assert iso(job.due_at) == there


async def test_who_lives_through_a_day_twice_is_reminded_once(start: StartInstance) -> None:
    server = await start(jobs=False)
    person = await server.add_person()
    zone = {"time_zone": "Pacific/Kiritimati"}
    await server.ask(person, "/account", "profile:update", zone)
    goal = await add_goal(server, person)
    local = datetime.now(UTC) + timedelta(hours=14) + SOON
    made = await ask(server, person, "reminder:set", goal_id=goal["id"], times=[f"{local:%H:%M}"])
    (job,) = await find_jobs(server)
    await set_clock(server, ahead=SOON)
    await perform(server.runtime, job.id)

    # A day behind: the same wall time of the same day comes once more.
    await server.ask(person, "/account", "profile:update", {"time_zone": "Pacific/Pago_Pago"})
    (again,) = (await ask(server, person, "reminder:list"))["items"]
    assert datetime.fromisoformat(again["next_at"]) - datetime.fromisoformat(
        made["next_at"]
    ) == timedelta(hours=25)
    await set_clock(server, ahead=SOON + timedelta(hours=25))
    await perform(server.runtime, job.id)

    feed = await server.ask(person, NOTES, "notification:list", {})
    assert feed["total"] == 1


async def test_a_goal_has_so_many_reminders_at_most(
    server: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handlers.goals.reminders.MAX_REMINDERS", 1)
    person = await server.add_person()
    goal = await add_goal(server, person)
    made = await remind(server, person, goal, soon())
    assert await refusal(remind(server, person, goal, soon())) == "quota_exceeded"
    await remind(server, person, goal, soon(), reminder_id=made["id"])


@pytest.mark.parametrize(
    "wrong", [{"times": []}, {"times": ["24:00"]}, {"every_days": 0}, {"starts_on": "tomorrow"}]
)
async def test_what_is_no_reminder_is_refused(server: Instance, wrong: dict[str, Any]) -> None:
    person = await server.add_person()
    goal = await add_goal(server, person)
    about = {"goal_id": goal["id"], "times": ["08:00"], **wrong}
    assert await refusal(ask(server, person, "reminder:set", **about)) == "invalid"


async def test_reminders_of_others_are_not_found(server: Instance) -> None:
    person, stranger = await server.add_person(), await server.add_person()
    made = await remind(server, person, await add_goal(server, person), soon())
    about = {"reminder_id": made["id"]}
    assert await refusal(ask(server, stranger, "reminder:delete", **about)) == "not_found"
    snoozing = ask(server, stranger, "reminder:snooze", **about, minutes=5)
    assert await refusal(snoozing) == "not_found"
    assert (await ask(server, stranger, "reminder:list"))["items"] == []

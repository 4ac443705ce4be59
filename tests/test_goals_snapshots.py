"""A snapshot of somebody's goals and the pushes that follow it are the next snapshot."""

import json
import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from storage.outbox import Job
from tests.client import Client, Refused
from tests.files import upload
from tests.goals import GOALS
from tests.instance import Instance, Person
from tests.snapshots import Snapshot, fold, goals_snapshot
from tests.stand_ins.waiting import eventually, set_clock

ACTIONS = 120
EXPECTED = {"not_found", "conflict", "invalid", "quota_exceeded"}


@dataclass(frozen=True, slots=True)
class World:
    """Somebody who does whatever comes to mind, and a device that hears of it."""

    server: Instance
    person: Person
    device: Client
    chance: random.Random

    async def ask(self, event: str, **payload: Any) -> Any:
        return await self.device.ask(event, payload, namespace=GOALS)

    async def look(self) -> Snapshot:
        return goals_snapshot(
            await self.ask("goal:list", limit=50),
            await self.ask("goal:list_archived", limit=50),
            await self.ask("achievement:list"),
        )

    async def act(self) -> None:
        actions = [self.tick] * 6 + [self.arrange] * 3 + [self.remind] * 3
        actions += [self.change, self.change, self.attach, self.create] + [self.split] * 3
        try:
            await self.chance.choice(actions)()
        except Refused as error:
            if error.code not in EXPECTED:
                raise

    async def create(self) -> None:
        goal = await self.ask("goal:create", title=f"{self.chance.random()}")
        for title in "ABC":
            await self.ask("stage:add", goal_id=goal["id"], title=title)

    async def change(self) -> None:
        goal = await self._pick()
        verb = self.chance.choice(["update", "update", "archive", "restore", "restore", "delete"])
        about: dict[str, Any] = {"goal_id": goal["id"]}
        if verb == "update":
            about["deadline"] = self.chance.choice([None, "2020-01-01", "2190-01-01"])
        await self.ask(f"goal:{verb}", **about)

    async def tick(self) -> None:
        for stage in (await self._pick())["stages"]:
            if self.chance.random() < 0.5:
                verb = "complete" if self.chance.random() < 0.7 else "undo"
                await self.ask(f"stage:{verb}", stage_id=stage["id"])

    async def arrange(self) -> None:
        goal = await self._pick()
        ids = [stage["id"] for stage in goal["stages"]]
        if self.chance.random() < 0.3 or not ids:
            await self.ask("stage:add", goal_id=goal["id"], title="More")
        elif self.chance.random() < 0.3:
            await self.ask("stage:delete", stage_id=self.chance.choice(ids))
        else:
            moved, behind = self.chance.choice(ids), self.chance.choice([None, *ids])
            await self.ask("stage:reorder", stage_id=moved, after_stage_id=behind)

    async def attach(self) -> None:
        goal = await self._pick()
        if goal["attachments"] and self.chance.random() < 0.3:
            upload_id = goal["attachments"][0]["id"]
            await self.ask("attachment:remove", goal_id=goal["id"], upload_id=upload_id)
        else:
            file = await upload(self.server, self.person, purpose="goal")
            await self.ask("attachment:add", goal_id=goal["id"], upload_id=file["id"])

    async def remind(self) -> None:
        goal = await self._pick()
        if not goal["reminders"]:
            soon = datetime.now(UTC) + timedelta(minutes=5)
            await self.ask("reminder:set", goal_id=goal["id"], times=[f"{soon:%H:%M}", "03:00"])
            return
        about = {"reminder_id": goal["reminders"][0]["id"]}
        if self.chance.random() < 0.2:
            await self.ask("reminder:delete", **about)
        else:
            await self.ask("reminder:snooze", **about, minutes=3)

    async def split(self) -> None:
        """Jobs suggest stages while other things happen."""
        goal = await self._pick()
        suggestions = goal["split"]["suggestions"] if goal["split"] else []
        if not suggestions or self.chance.random() < 0.2:
            verb = self.chance.choice(["split", "split", "split", "cancel"])
            await self.ask(f"ai:{verb}", goal_id=goal["id"])
            return
        verb = self.chance.choice(["accept", "refuse"])
        about = {"suggestion_id": self.chance.choice(suggestions)["id"]}
        await self.ask(f"suggestion:{verb}", **about)

    async def calm_down(self) -> None:
        """Until no job has anything to tell, and all that was told has come."""
        await wait_until_nothing_is_due(self.server)
        last = await self.ask("goal:create", title="Calm")
        await self.device.wait_for(
            "goal:updated", namespace=GOALS, where=lambda goal: goal["id"] == last["id"]
        )

    async def _pick(self) -> Any:
        snapshot = await self.look()
        if not snapshot["goals"]:
            return await self.ask("goal:create", title="First")
        return self.chance.choice([*snapshot["goals"].values()])


def unsigned(snapshot: Snapshot) -> Any:
    """Without the signatures of links, which are others after the hour that the clock may pass."""
    return json.loads(re.sub(r"\?expires=\d+&signature=\w+", "", json.dumps(snapshot)))


async def wait_until_nothing_is_due(server: Instance) -> None:
    async def is_quiet() -> bool:
        jobs = Job.job.in_(["goals.remind", "goals.ask_model"])
        due = select(Job.id).where(jobs, Job.due_at <= server.runtime.clock())
        async with server.runtime.database.session(write=False) as db:
            return await db.scalar(due.limit(1)) is None

    await eventually(is_quiet, "no more reminders and questions")


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_snapshot_and_what_is_told_make_the_next_snapshot(
    server: Instance, seed: int
) -> None:
    person = await server.add_person()
    device = await server.connect(person, GOALS)
    world = World(server, person, device, random.Random(seed))
    for _ in range(10):
        await world.act()
    await world.calm_down()
    before = await world.look()
    device.told.clear()

    for _ in range(ACTIONS):
        await world.act()
    goal = await world.ask("goal:create", title="Last")
    soon = datetime.now(UTC) + timedelta(minutes=4)
    await world.ask("reminder:set", goal_id=goal["id"], times=[f"{soon:%H:%M}"])
    await set_clock(server, ahead=timedelta(minutes=5))
    await device.wait_for("reminder:due", namespace=GOALS, where=lambda due: due["title"] == "Last")
    await world.ask("goal:delete", goal_id=goal["id"])
    await device.wait_for(
        "goal:deleted", namespace=GOALS, where=lambda gone: gone["goal_id"] == goal["id"]
    )

    await world.calm_down()
    after = await world.look()
    told = device.pushes(GOALS)
    assert unsigned(fold(before, told, person.id)) == unsigned(after)
    assert {one.event for one in told} >= {
        "goal:updated",
        "goal:deleted",
        "reminder:due",
        "stage:suggested",
        "ai:finished",
        "achievement:earned",
        "achievement:revoked",
        "achievement:progressed",
    }

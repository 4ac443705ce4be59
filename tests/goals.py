"""Goals of people, and what tests of them have in common."""

from typing import Any

from tests.instance import Instance, Person

GOALS = "/goals"


async def ask(server: Instance, person: Person, event: str, **payload: Any) -> Any:
    """Ask something about goals over HTTP."""
    return await server.ask(person, GOALS, event, payload)


async def add_goal(server: Instance, person: Person, title: str = "Run", **about: Any) -> Any:
    return await ask(server, person, "goal:create", title=title, **about)


async def add_stages(server: Instance, person: Person, goal: Any, *titles: str) -> Any:
    """The goal with one more stage for each title."""
    for title in titles:
        goal = await ask(server, person, "stage:add", goal_id=goal["id"], title=title)
    return goal


async def complete(server: Instance, person: Person, stage: Any) -> Any:
    return await ask(server, person, "stage:complete", stage_id=stage["id"])


async def undo(server: Instance, person: Person, stage: Any) -> Any:
    return await ask(server, person, "stage:undo", stage_id=stage["id"])


def titles(goal: Any) -> list[str]:
    return [stage["title"] for stage in goal["stages"]]

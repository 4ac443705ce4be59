"""Nobody gets at what is another person's: every event and every route, by everybody."""

import pytest

from handlers import NAMESPACES
from tests.conftest import StartInstance
from tests.instance import Instance
from tests.security import requests, verdicts
from tests.security.doors import open_door
from tests.security.listening import connect_everybody, list_disturbances, list_told, ring
from tests.security.planted import find_planted
from tests.security.scene import set_scene
from tests.security.state import read_state
from tests.security.walk import (
    ask_as_nobody,
    ask_as_owners,
    ask_as_strangers,
    fetch_as_owners,
    fetch_as_strangers,
)


def list_events() -> set[str]:
    return {f"{place.name} {event}" for place in NAMESPACES for event in place.events}


def list_routes() -> set[str]:
    return {route for place in NAMESPACES for route in place.routes}


def test_every_event_has_its_verdicts() -> None:
    missing = list_events() - {row.call for row in verdicts.EVENTS}
    assert not missing, f"say in {verdicts.FILE} who may ask for what: {sorted(missing)}"
    gone = {row.call for row in verdicts.EVENTS} - list_events()
    assert not gone, f"there are no such events any more, {verdicts.FILE} has: {sorted(gone)}"


def test_every_route_has_its_verdicts_or_takes_no_ids() -> None:
    told = {row.call for row in verdicts.ROUTES} | verdicts.WITHOUT_IDS | verdicts.FOR_ALL
    missing = list_routes() - told
    assert not missing, f"say in {verdicts.FILE} who may ask for what: {sorted(missing)}"
    gone = told - list_routes()
    assert not gone, f"there are no such routes any more, {verdicts.FILE} has: {sorted(gone)}"
    with_ids = {route for route in verdicts.WITHOUT_IDS if "{" in route}
    assert not with_ids, f"these take ids, {verdicts.FILE} must say whose: {sorted(with_ids)}"


async def test_every_verdict_has_its_request(server: Instance) -> None:
    scene = await set_scene(server)
    assert sorted(row.label for row in verdicts.EVENTS) == sorted(
        requests.list_requests(scene, "anna")
    ), f"see {requests.FILE}"
    assert sorted(row.label for row in verdicts.ROUTES) == sorted(requests.list_paths(scene)), (
        f"see {requests.FILE}"
    )


@pytest.mark.parametrize("kind", ["socket", "http"])
async def test_nobody_gets_at_what_is_anothers(start: StartInstance, kind: str) -> None:
    server = await start(jobs=False)
    scene = await set_scene(server)
    devices = await connect_everybody(scene)
    before = await read_state(scene)
    async with open_door(kind, server, devices) as door:
        problems = await ask_as_nobody(scene, door) + await ask_as_strangers(scene, door)
        assert not problems, "\n".join(problems)
        assert await read_state(scene) == before
        await ring(scene, devices)
        assert not list_disturbances(scene, devices)
        for who, person in scene.strangers.items():
            assert find_planted(list_told(devices[person.id])) <= scene.known[who], who
        problems = await ask_as_owners(scene, door)
        assert not problems, "\n".join(problems)
    assert await read_state(scene) != before


async def test_nobody_gets_at_the_files_of_others(start: StartInstance) -> None:
    server = await start(jobs=False)
    scene = await set_scene(server)
    before = await read_state(scene)
    problems = await fetch_as_strangers(scene)
    assert not problems, "\n".join(problems)
    assert await read_state(scene) == before
    problems = await fetch_as_owners(scene)
    assert not problems, "\n".join(problems)

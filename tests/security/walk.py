"""Everybody asks for everything, and what they are told is compared with the table."""

from collections.abc import Iterator
from typing import Any

from tests.files import fetch
from tests.instance import Person
from tests.security.doors import Door
from tests.security.planted import find_planted
from tests.security.requests import list_paths, list_requests
from tests.security.scene import Scene
from tests.security.verdicts import EVENTS, ROUTES, Kind, Row, Verdict


async def ask_as_nobody(scene: Scene, door: Door) -> list[str]:
    """What somebody who is not signed in was answered otherwise than `unauthenticated`."""
    problems = []
    for row, payload in _pair(scene, "nobody"):
        answer = await _ask(door, None, row, payload)
        if _code(answer) != "unauthenticated":
            problems.append(f"{row.label} as nobody: {answer}")
    return problems


async def ask_as_strangers(scene: Scene, door: Door) -> list[str]:
    """What strangers were answered otherwise than the table says."""
    problems = []
    for kind, person in scene.strangers.items():
        for row, payload in _pair(scene, kind):
            if row.verdicts[kind] != Verdict.OWNER:
                answer = await _ask(door, person, row, payload)
                if problem := _judge(scene, kind, row.verdicts[kind], answer):
                    problems.append(f"{row.label} as {kind} {problem}")
    return problems


async def ask_as_owners(scene: Scene, door: Door) -> list[str]:
    """What owners were not given, or given too much of."""
    problems = []
    for row in EVENTS:
        payload = list_requests(scene, row.owner)[row.label]
        answer = await _ask(door, scene.owners[row.owner], row, payload)
        if "data" not in answer:
            problems.append(f"{row.label} as {row.owner}: {answer}")
        if row.owner == "admin" and (seen := find_planted(answer) - scene.known[Kind.ADMIN]):
            problems.append(f"{row.label} shows an admin {seen}")
    return problems


async def fetch_as_strangers(scene: Scene) -> list[str]:
    """Which files were shown, or kept, otherwise than the table says."""
    paths, problems = list_paths(scene), []
    for row in ROUTES:
        askers: list[tuple[str, Person | None, Verdict]] = [
            ("nobody", None, Verdict.UNAUTHENTICATED),
            *((kind, scene.strangers[kind], verdict) for kind, verdict in row.verdicts.items()),
        ]
        for who, person, verdict in askers:
            fetched = await fetch(scene.server, paths[row.label], person)
            if str(fetched.status) != verdict.value:
                problems.append(f"{row.label} as {who}: {fetched.status}")
            if find_planted((fetched.headers, fetched.body)):
                problems.append(f"{row.label} as {who} shows something")
    return problems


async def fetch_as_owners(scene: Scene) -> list[str]:
    """Which files their own people did not get."""
    paths, problems = list_paths(scene), []
    for row in ROUTES:
        fetched = await fetch(scene.server, paths[row.label], scene.owners[row.owner])
        if fetched.status != 200 or not find_planted((fetched.headers, fetched.body)):
            problems.append(f"{row.label} as {row.owner}: {fetched.status}")
    return problems


def _pair(scene: Scene, who: str) -> Iterator[tuple[Row, Any]]:
    requests = list_requests(scene, who)
    return ((row, requests[row.label]) for row in EVENTS)


async def _ask(door: Door, person: Person | None, row: Row, payload: Any) -> Any:
    namespace, event = row.call.split(" ")
    return await door.ask(person, namespace, event, payload)


def _judge(scene: Scene, kind: Kind, verdict: Verdict, answer: Any) -> str:
    """What is wrong with an answer; nothing where the text is empty."""
    if _code(answer) != verdict.code:
        return f"should get {verdict.code or 'an answer'}, got {answer}"
    if seen := find_planted(answer) - scene.known[kind]:
        return f"sees {seen}"
    if scene.things.talk.chat_id in _list_chat_ids(answer):
        return f"sees the chat of others: {answer}"
    if verdict == Verdict.EMPTY and answer["data"]:
        return f"should see nothing: {answer}"
    return ""


def _code(answer: Any) -> str | None:
    code: str | None = answer.get("error", {}).get("code")
    return code


def _list_chat_ids(value: Any) -> Iterator[Any]:
    """Whatever is called `chat_id`, at any depth."""
    if isinstance(value, dict):
        if "chat_id" in value:
            yield value["chat_id"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _list_chat_ids(part)

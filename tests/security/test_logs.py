"""Nothing secret reaches a line of the log, whoever asks for whatever, at its most talkative."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog

from server.log import configure_logging
from tests.conftest import StartInstance
from tests.instance import PASSWORD, Instance, Person
from tests.security.doors import open_door
from tests.security.listening import connect_everybody, ring
from tests.security.planted import find_planted, plant
from tests.security.scene import Scene, set_scene
from tests.security.walk import (
    ask_as_nobody,
    ask_as_owners,
    ask_as_strangers,
    fetch_as_owners,
    fetch_as_strangers,
)
from tests.server.raw import RawSocket, event_packet
from tests.stand_ins.waiting import eventually

NEW_PASSWORD = "planted-password-new"
WRONG_PASSWORD = "planted-password-wrong"


@contextmanager
def listen(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged, by us and by libraries, down to DEBUG."""
    lines = io.StringIO()
    monkeypatch.setattr("sys.stderr", lines)
    handlers, level = logging.root.handlers[:], logging.root.level
    configure_logging("DEBUG", as_json=True)
    logging.root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        structlog.reset_defaults()


async def sign_in_and_out(server: Instance) -> list[str]:
    """Every route that takes a secret, rightly and wrongly; the secrets it gave and was given."""
    person = await server.add_person(with_password=True)
    login = {"email": person.email, "password": PASSWORD}
    asked: list[tuple[str, str, Any, Person | None]] = [
        ("POST", "/auth/login", {**login, "password": WRONG_PASSWORD}, None),
        ("POST", "/auth/login", {"password": [WRONG_PASSWORD]}, None),
        ("POST", "/auth/register", {**login, "password": NEW_PASSWORD}, None),
        ("POST", "/auth/reset-password", {"token": "planted-token-reset", "password": NEW_PASSWORD}, None),
        ("POST", "/auth/token", {"client_id": "planted-key-id", "client_secret": WRONG_PASSWORD}, None),
        ("POST", "/auth/forgot-password", {"email": person.email}, None),
        ("POST", "/auth/refresh", {"refresh_token": "planted-token-refresh"}, None),
        ("GET", "/unsubscribe?token=planted-token-sealed", None, None),
        ("GET", "/socket.io/?EIO=4&transport=polling&token=planted-token-query", None, None),
        ("GET", "/uploads/1?expires=1&signature=planted-token-link", None, None),
        ("GET", "/auth/google/callback?state=planted-token-state&code=planted-token-code", None, None),
        ("PUT", "/account/password", {"current": WRONG_PASSWORD, "new": NEW_PASSWORD}, person),
        ("PUT", "/account/password", {"current": PASSWORD, "new": NEW_PASSWORD}, person),
    ]  # fmt: skip
    given = [person.token, person.refresh_token, PASSWORD]
    for method, path, body, asker in asked:
        token = None if asker is None else asker.token
        await server.request(method, path, body, token=token)
    _, session = await server.request("POST", "/auth/login", {**login, "password": NEW_PASSWORD})
    return [*given, session["access_token"], session["refresh_token"]]


async def send_nonsense(server: Instance, person: Person) -> None:
    """Packets that are refused before any event is found."""
    word = plant("nonsense", "anna")
    for packet in (
        f'40/{word},{{"token":"{word}"}}',
        f'40/chat,{{"token":"{word}"}}',
        f'40/chat,{{"token":"{person.token}","{word}":1}}',
        f"4{word}",
        word,
        event_packet("/chat", word, f'"{word}"', ack=1),
    ):
        async with RawSocket.open(server.url) as socket:
            await socket.join("/account", person.token)
            await socket.send(packet)
            await socket.send(event_packet("/account", "profile:get", "{}", ack=2))
            await socket.send("1")
            await socket.wait_closed()


async def ask_for_everything(scene: Scene) -> None:
    server, devices = scene.server, await connect_everybody(scene)
    for kind in ("http", "socket"):
        async with open_door(kind, server, devices) as door:
            await ask_as_nobody(scene, door)
            await ask_as_strangers(scene, door)
            await ask_as_owners(scene, door)
    await fetch_as_strangers(scene)
    await fetch_as_owners(scene)
    await ring(scene, devices)


@pytest.mark.embedded
async def test_no_secret_and_nothing_people_write_is_logged(
    start: StartInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listen(monkeypatch) as lines:
        server = await start()
        scene = await set_scene(server)
        await ask_for_everything(scene)
        secrets = await sign_in_and_out(server)
        await send_nonsense(server, scene.anna)

        async def job_is_done() -> bool:
            return "job.done" in lines.getvalue()

        await eventually(job_is_done, "a job that is logged")
    logged = lines.getvalue()
    calls = {json.loads(line).get("call") for line in logged.splitlines()}
    assert {"/chat message:send", "/admin job:list", "POST /auth/login", "connect"} <= calls
    assert find_planted(logged) == set()
    people = [scene.anna, scene.boris, *scene.strangers.values()]
    for secret in (
        *secrets,
        *(person.token for person in people),
        *(person.refresh_token for person in people),
        *server.runtime.settings.signing_keys,
    ):
        assert secret not in logged
    assert "@example.com" not in logged

"""The server as a process: it starts, refuses to start, listens to other processes, and stops."""

import asyncio
import json
import time

import pytest

from storage.accounts import Role
from tests.backend import Backend
from tests.command import PATIENCE, Served, Shell
from tests.instance import PASSWORD

NAMESPACES = ("/chat", "/notifications")
SEVERAL = "run.py: another instance runs on this database; several need REDIS_URL and PostgreSQL"


async def assert_ready(served: Served) -> None:
    status, body = await served.instance.request("GET", "/health/ready")
    assert (status, body) == (200, {"status": "ready", "database": "ok", "bus": "ok"})


async def test_serve_says_where_to_look_and_stops_with_clients_connected(shell: Shell) -> None:
    async with shell.serve() as served:
        await assert_ready(served)
        assert served.announced[0].startswith("Emotrack on http://127.0.0.1:")
        assert served.announced[1].split() == ["Documents:", f"{served.instance.url}/docs"]
        assert (await served.instance.request("GET", "/docs/asyncapi.json"))[0] == 200
        person = await served.instance.add_person()
        clients = [
            await served.instance.connect(person, *NAMESPACES, transports=(transport,))
            for transport in ("websocket", "polling")
        ]

        begun = time.monotonic()
        assert await served.stop() == 0

        assert time.monotonic() - begun < 5
        for client in clients:
            for namespace in NAMESPACES:
                await client.wait_until_left(namespace)


async def test_a_second_server_without_redis_refuses_to_start(shell: Shell) -> None:
    alone = Shell(Backend(shell.backend.database_url, "", shell.backend.data_dir))
    async with alone.serve() as served:
        refused = await alone.run("serve")
        assert refused.complaint == SEVERAL
        await assert_ready(served)


async def test_a_port_in_use_is_refused_in_one_line(shell: Shell) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        refused = await shell.run("serve", "--port", str(port), variables={"LOG_LEVEL": "ERROR"})
    assert str(port) in refused.complaint


@pytest.mark.scaled
async def test_two_servers_started_at_once_on_a_fresh_database_work_together(
    fresh: Backend,
) -> None:
    shell = Shell(fresh)
    async with asyncio.timeout(PATIENCE):
        one, other = shell.serve(), shell.serve()
        first, second = await asyncio.gather(one.__aenter__(), other.__aenter__())
    try:
        psychologist, patient = await first.instance.connect_pair()
        here = await first.instance.connect(psychologist, "/care")
        there = await second.instance.connect(patient, "/care")
        await there.ask("relation:end", {"user_id": psychologist.id}, namespace="/care")
        for client in (here, there):
            await client.wait_for("relation:ended", namespace="/care")
    finally:
        await one.__aexit__(None, None, None)
        await other.__aexit__(None, None, None)


async def test_blocking_cuts_live_sockets_of_a_server_in_another_process(shell: Shell) -> None:
    async with shell.serve() as served:
        instance = served.instance
        person = await instance.add_person(with_password=True)
        bystander = await instance.connect(await instance.add_person())
        client = await instance.connect(person, *NAMESPACES)
        key = await shell.do("user", "key", person.email)

        await shell.do("user", "block", person.email)

        async with asyncio.timeout(2):
            for namespace in NAMESPACES:
                await client.wait_until_left(namespace)
        assert not bystander.left
        for path, body in credentials(person.email, key):
            assert (await instance.request("POST", path, body))[0] == 401
        assert "forbidden" in (await shell.run("user", "token", person.email)).complaint

        await shell.do("user", "unblock", person.email)

        for path, body in credentials(person.email, key):
            assert (await instance.request("POST", path, body))[0] == 200
        refreshed = {"refresh_token": person.refresh_token}
        assert (await instance.request("POST", "/auth/refresh", refreshed))[0] == 401


async def test_a_new_epoch_sends_live_clients_back_for_the_state(shell: Shell) -> None:
    async with shell.serve() as served:
        person = await served.instance.add_person(Role.PSYCHOLOGIST)
        client = await served.instance.connect(person)
        before = (await client.wait_for("stream:ready")).data

        epoch = await shell.do("epoch")

        await client.wait_until_left()
        again = await served.instance.connect(person, after=0, epoch=before["epoch"])
        after = (await again.wait_for("stream:ready")).data
        assert before["epoch"] != epoch
        assert (before["reset"], after["reset"], after["epoch"]) == (False, True, epoch)


def credentials(email: str, key: str) -> list[tuple[str, object]]:
    """What this person, and this person's server, sign in with."""
    return [
        ("/auth/login", {"email": email, "password": PASSWORD}),
        ("/auth/token", json.loads(key)),
    ]

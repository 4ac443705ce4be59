"""What the server needs is away, dead or exhausted: an answer in bounded time, and then all goes on."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import pytest
from sqlalchemy import make_url, text

from server import dispatch
from storage.database import Pool
from tests.backend import Backend
from tests.client import Client, Refused
from tests.instance import Instance, Person
from tests.server.trial import PLACE, numbers, start_trial, tell, wait_until, wires_of
from tests.stand_ins.line import Line, open_line

ANSWERED_WITHIN = 15.0
RECOVERED_WITHIN = 10.0


@pytest.fixture
async def line(backend: Backend) -> AsyncIterator[Line]:
    """The way to PostgreSQL."""
    url = make_url(backend.database_url)
    assert url.host is not None
    async with open_line(url.host, url.port or 5432) as line:
        yield line


@pytest.fixture
async def server(backend: Backend, line: Line) -> AsyncIterator[Instance]:
    """A server that reaches its database by this way alone."""
    url = make_url(backend.database_url).set(host="127.0.0.1", port=line.port)
    through = dataclasses.replace(backend, database_url=url.render_as_string(hide_password=False))
    async with start_trial(through) as server:
        yield server


async def ask_in_vain(client: Client, event: str, payload: dict[str, Any]) -> dict[str, Any]:
    start = time.monotonic()
    with pytest.raises(Refused) as refused:
        await asyncio.wait_for(client.ask(event, payload, namespace=PLACE), ANSWERED_WITHIN)
    assert time.monotonic() - start < ANSWERED_WITHIN
    return refused.value.error


async def ask_until_answered(client: Client) -> None:
    async with asyncio.timeout(RECOVERED_WITHIN):
        while True:
            try:
                await client.ask("thing:add", {"number": 5}, namespace=PLACE)
            except Refused as refused:
                if refused.code != "unavailable":
                    raise
                await asyncio.sleep(0.1)
            else:
                return


@pytest.mark.scaled
@pytest.mark.parametrize("failure", ["cut", "deaden"])
async def test_without_postgresql_every_event_is_answered_and_all_goes_on_when_it_is_back(
    server: Instance, line: Line, failure: str
) -> None:
    person = await server.add_person()
    client = await server.connect(person, PLACE, after=0)
    others = [await server.connect(person, PLACE) for _ in range(20)]
    await tell(server, [person], 0)
    getattr(line, failure)()
    answers = await asyncio.gather(
        *(ask_in_vain(one, "thing:add", {"number": 1}) for one in (client, *others)),
        ask_in_vain(others[0], "many:add", {"number": 1}),
    )
    assert {(a["code"], a["retryable"], a["retry_after"]) for a in answers} == {
        ("unavailable", True, 1)
    }
    echoed = await client.ask("echo:get", {"number": 7}, namespace=PLACE)
    assert echoed["number"] == 7, "what needs no database is answered"
    assert (await server.request("GET", "/health/ready"))[0] == 503
    assert (await server.request("GET", "/health/live"))[0] == 200
    line.mend()
    await ask_until_answered(client)
    await client.wait_for_seq(2, namespace=PLACE)
    assert numbers(client) == [0, 5]
    assert (await server.request("GET", "/health/ready"))[0] == 200


@pytest.mark.scaled
async def test_who_joins_while_postgresql_is_away_is_in_as_soon_as_it_is_back(
    server: Instance, line: Line
) -> None:
    person = await server.add_person()
    await tell(server, [person], *range(3))
    line.cut()
    joining = asyncio.create_task(server.connect(person, PLACE, after=0))
    await wait_until(lambda: line.refused > 2, "it was tried again and again")
    assert not joining.done()
    line.mend()
    client = await joining
    await client.wait_for_seq(3, namespace=PLACE)
    assert numbers(client) == [0, 1, 2]


@pytest.mark.scaled
async def test_a_join_is_given_up_in_the_end(
    server: Instance, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "JOIN_PATIENCE", 0.3)
    person = await server.add_person()
    line.cut()
    with pytest.raises(Refused) as refused:
        await server.connect(person, PLACE)
    assert (refused.value.code, refused.value.error["retryable"]) == ("unavailable", True)


async def test_when_all_database_connections_are_taken_events_are_answered(
    kernel: Instance, person: Person
) -> None:
    client = await kernel.connect(person, PLACE)
    async with take_all_connections(kernel):
        error = await ask_in_vain(client, "thing:add", {"number": 1})
        assert (error["code"], error["retryable"]) == ("unavailable", True)
    await ask_until_answered(client)


@pytest.mark.scaled
async def test_a_crowd_that_joins_leaves_connections_for_the_others(
    kernel: Instance, person: Person
) -> None:
    client = await kernel.connect(person, PLACE)
    writer, pool = kernel.runtime.database.writer, kernel.runtime.database.pools["writer"]
    async with writer.begin() as connection:
        # Whoever joins now waits for its session's row.
        await connection.execute(text("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE"))
        crowd = [asyncio.create_task(kernel.connect(person, PLACE)) for _ in range(40)]
        await wait_until(lambda: len(wires_of(kernel)) > 40, "all of them ask")
        start = time.monotonic()
        await client.ask("thing:add", {"number": 1}, namespace=PLACE)
        assert time.monotonic() - start < 1
        # The lock's, the crowd's, and the one that looks for ended sessions.
        assert pool.checkedout() <= 3
    for joined in await asyncio.gather(*crowd):
        assert (await joined.ask("echo:get", {"number": 1}, namespace=PLACE))["number"] == 1


@asynccontextmanager
async def take_all_connections(server: Instance) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        database = server.runtime.database
        for engine in database.engines.values():
            for _ in range(cast("Pool", engine.pool).size()):
                await stack.enter_async_context(engine.connect())
        yield

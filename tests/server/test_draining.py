"""Before a server stops its clients go elsewhere: answered, a few at a time, and nobody new comes in."""

import asyncio
import time

import pytest
from aiohttp import ClientSession

from tests.backend import Backend
from tests.client import Client
from tests.instance import Instance, Person
from tests.server.raw import Closed, RawPolling, RawSocket, event_packet
from tests.server.trial import PLACE, delivery_of, start_trial, tell, wait_until


async def test_readiness_goes_first_and_nobody_new_is_let_in(backend: Backend) -> None:
    async with start_trial(backend, drain_seconds=1) as server:
        person = await server.add_person()
        first, second = [await server.connect(person, PLACE) for _ in range(2)]
        draining = asyncio.create_task(server.drain())
        await first.wait_until_left(PLACE)
        status, body = await server.request("GET", "/health/ready")
        assert (status, body["status"]) == (503, "draining")
        assert (await server.request("GET", "/health/live"))[0] == 200
        status, body = await server.request("GET", "/socket.io/?EIO=4&transport=polling")
        error = body["error"]
        assert (status, error["code"], error["retryable"]) == (503, "unavailable", True)
        assert (await second.ask("echo:get", {"number": 1}, namespace=PLACE))["number"] == 1
        await draining
        await second.wait_until_left(PLACE)


async def test_what_was_asked_is_answered_and_what_comes_later_is_not_done(
    kernel: Instance, person: Person
) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        for number in range(5):
            body = f'{{"number":{number}}}'
            await socket.send(event_packet(PLACE, "slow:get", body, ack=number))
        await socket.answer(PLACE, 0)
        draining = asyncio.create_task(kernel.drain())
        closed = await socket.wait_closed()
        await draining
        assert (closed.code, closed.reason) == (1012, "draining")
        for number in range(1, 5):
            assert (await socket.answer(PLACE, number))["data"]["number"] == number


async def test_a_polling_client_is_answered_and_told_to_go(
    kernel: Instance, person: Person
) -> None:
    async with ClientSession() as session, RawPolling(session, kernel.url) as polling:
        await polling.join(PLACE, person.token)
        await polling.post(event_packet(PLACE, "slow:get", '{"number":0}', ack=1))
        draining = asyncio.create_task(kernel.drain())
        assert (await polling.wait_for(f"3{PLACE},1"))[0]["data"]["number"] == 0
        with pytest.raises(Closed):
            await polling.wait_for("never")
        await draining


async def test_clients_go_one_after_the_other(backend: Backend) -> None:
    async with start_trial(backend, drain_seconds=0.9) as server:
        person = await server.add_person()
        clients = [await server.connect(person, PLACE) for _ in range(10)]
        start = time.monotonic()
        left: list[float] = []

        async def wait(client: Client) -> None:
            await client.wait_until_left(PLACE)
            left.append(time.monotonic() - start)

        await asyncio.gather(server.drain(), *map(wait, clients))
    assert max(left) > 0.8
    assert sum(moment < 0.45 for moment in left) <= 6


async def test_who_waits_for_news_over_http_is_answered_at_once(
    kernel: Instance, person: Person
) -> None:
    path = f"/events{PLACE}?after=0&wait=30"
    waiting = asyncio.create_task(kernel.request("GET", path, token=person.token))
    await wait_until(lambda: person.id in delivery_of(kernel)._followers, "somebody waits")
    await kernel.drain()
    async with asyncio.timeout(5):
        status, body = await waiting
    assert (status, body["data"]["items"]) == (200, [])


async def test_a_client_that_does_not_read_holds_nothing_up(
    kernel: Instance, person: Person
) -> None:
    async with RawSocket.open(kernel.url, small_window=True) as socket:
        await socket.join(PLACE, person.token)
        await tell(kernel, [person], *range(20), text="x" * 60_000)
        async with asyncio.timeout(5):
            await kernel.drain()

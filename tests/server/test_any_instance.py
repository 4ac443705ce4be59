"""Behind a plain round robin: any instance takes any request of a session that another one holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession, TCPConnector, WSMsgType, WSServerHandshakeError
from redis.asyncio import Redis

from server.bus.seals import Seals
from server.peers import MARK
from server.wire import Wire
from tests.backend import REDIS, Backend
from tests.client import Client
from tests.instance import Instance, Person
from tests.server.raw import Closed, RawPolling, connect_packet, upgrade_and_vanish
from tests.server.trial import (
    PLACE,
    numbers,
    start_trial,
    tell,
    token_of,
    wait_until,
    wires_of,
)
from tests.stand_ins.balancer import Balancer, balance

pytestmark = pytest.mark.scaled


@pytest.fixture
async def balancer(kernel: Instance, second: Instance) -> AsyncIterator[Balancer]:
    async with balance(kernel.url, second.url) as balancer:
        yield balancer


@pytest.fixture
async def elsewhere(kernel: Instance, second: Instance) -> AsyncIterator[RawPolling]:
    """A session that the first instance holds, seen from the second."""
    async with ClientSession() as session, RawPolling(session, kernel.url) as polling:
        polling.address = polling.address.replace(kernel.url, second.url)
        yield polling


def only_wire(server: Instance) -> Wire:
    (wire,) = wires_of(server).values()
    return wire


async def test_polling_clients_are_served_by_all_instances_alike(
    kernel: Instance, person: Person, balancer: Balancer
) -> None:
    clients = [Client(balancer.url) for _ in range(4)]
    for client in clients:
        await client.connect([PLACE], {"token": person.token}, transports=["polling"])
    for number in range(30):
        answer = await clients[number % 4].ask("echo:get", {"number": number}, namespace=PLACE)
        assert answer["number"] == number
        await tell(kernel, [person], number)
    for client in clients:
        await client.wait_for_seq(30, namespace=PLACE)
        assert numbers(client) == list(range(30))
        assert client.transport == "polling"
        await client.close()
    assert min(balancer.sent.values()) > 30


async def test_a_client_moves_to_a_websocket_through_the_other_instance(
    kernel: Instance, person: Person, elsewhere: RawPolling
) -> None:
    await elsewhere.join(PLACE, person.token)
    url = elsewhere.address.replace("transport=polling", "transport=websocket")
    async with ClientSession() as session, session.ws_connect(url) as websocket:
        await websocket.send_str("2probe")
        assert await websocket.receive_str() == "3probe"
        await websocket.send_str("5")
        wire = only_wire(kernel)
        await wait_until(lambda: wire.upgraded, "the session has moved")
        await tell(kernel, [person], 7)
        heard = ""
        while "thing:added" not in heard:
            heard = await websocket.receive_str()
        assert '"number":7' in heard
        wire.refuse("draining")
        message = await websocket.receive()
        while message.type is WSMsgType.TEXT:
            message = await websocket.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1012, "draining")


async def test_polls_that_wait_elsewhere_do_not_hold_each_other_up(
    kernel: Instance, second: Instance, person: Person
) -> None:
    async with ClientSession(connector=TCPConnector(limit=0)) as session, AsyncExitStack() as stack:
        waiting = []
        for _ in range(150):
            polling = await stack.enter_async_context(RawPolling(session, kernel.url))
            polling.address = polling.address.replace(kernel.url, second.url)
            waiting.append(asyncio.create_task(polling.get()))
        await wait_until(
            lambda: sum(wire.polling for wire in wires_of(kernel).values()) == 150,
            "all polls have been forwarded",
        )
        for wire in list(wires_of(kernel).values()):
            wire.refuse("draining")
        for status, _ in await asyncio.gather(*waiting):
            assert status == 400


async def test_a_client_that_goes_ends_its_session_through_the_tunnel(
    kernel: Instance, person: Person, elsewhere: RawPolling
) -> None:
    await elsewhere.join(PLACE, person.token)
    url = elsewhere.address.replace("transport=polling", "transport=websocket")
    async with ClientSession() as session, session.ws_connect(url) as websocket:
        await websocket.send_str("2probe")
        await websocket.receive_str()
        await websocket.send_str("5")
        await wait_until(lambda: only_wire(kernel).upgraded, "the session has moved")
    await wait_until(lambda: not wires_of(kernel), "the session is forgotten")


async def test_a_client_that_vanishes_before_its_tunnel_is_open_is_no_error(
    kernel: Instance,
    second: Instance,
    person: Person,
    elsewhere: RawPolling,
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = elsewhere.address.replace("transport=polling", "transport=websocket")
    for _ in range(10):
        upgrade_and_vanish(address)
        # A request that is answered later came later.
        await second.request("GET", "/health/live")
    await elsewhere.join(PLACE, person.token)
    assert only_wire(kernel).connected
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_forwarded_answer_that_reaches_nobody_ends_the_session(
    kernel: Instance, person: Person, elsewhere: RawPolling
) -> None:
    await elsewhere.join(PLACE, person.token)
    await elsewhere.wait_for(f"2{PLACE},")
    wire = only_wire(kernel)
    poll = asyncio.create_task(elsewhere.get())
    await wait_until(lambda: wire.polling, "the poll has been forwarded")
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    await tell(kernel, [person], 1)
    await wait_until(lambda: not wires_of(kernel), "the session is forgotten")
    back = await kernel.connect(person, PLACE, after=0)
    await back.wait_for_seq(1, namespace=PLACE)


async def test_malformed_packets_and_large_bodies_are_refused_with_a_reason_here_too(
    kernel: Instance, elsewhere: RawPolling
) -> None:
    status, answer = await elsewhere.post("4" + "x" * 1_000_001)
    assert status == 400
    assert answer["error"]["fields"][0]["code"] == "too_large"


async def test_when_the_owner_stops_its_client_begins_anew(
    second: Instance, backend: Backend, person: Person
) -> None:
    async with ClientSession() as session:
        async with start_trial(backend) as owner:
            polling = await RawPolling(session, owner.url).__aenter__()
            polling.address = polling.address.replace(owner.url, second.url)
            await polling.join(PLACE, person.token)
            waiting = asyncio.create_task(polling.wait_for("never"))
            await wait_until(lambda: only_wire(owner).polling, "the poll has been forwarded")
        with pytest.raises(Closed):
            await waiting
        assert (await polling.get())[0] == 400


async def test_an_owner_that_died_and_is_still_listed_refuses_at_once(
    kernel: Instance, second: Instance
) -> None:
    dead = "d" * 16
    settings = kernel.runtime.settings
    key = f"emotrack:{settings.deployment}:alive:{dead}"
    async with Redis.from_url(REDIS) as redis, ClientSession() as session:
        mark = Seals(settings.internal_keys).seal(key, b"http://127.0.0.1:1")
        await redis.set(key, mark, ex=10)
        try:
            url = f"{second.url}/socket.io/?EIO=4&transport=polling&sid={dead}{'x' * 20}"
            async with asyncio.timeout(2), session.get(url) as response:
                assert response.status == 400
            with pytest.raises(WSServerHandshakeError):
                await session.ws_connect(url.replace("polling", "websocket"))
        finally:
            await redis.delete(key)


@pytest.mark.parametrize("sid", ["x", "0" * 16, "0" * 36, "я" * 20])
async def test_a_session_of_nobody_is_refused(kernel: Instance, second: Instance, sid: str) -> None:
    async with ClientSession() as session:
        url = f"{kernel.url}/socket.io/"
        query = {"EIO": "4", "transport": "polling", "sid": sid}
        for method in ("GET", "POST"):
            async with session.request(method, url, params=query) as response:
                assert response.status == 400


async def test_what_was_forwarded_once_is_not_forwarded_again(
    kernel: Instance, elsewhere: RawPolling
) -> None:
    async with (
        ClientSession(headers={MARK: "1"}) as session,
        session.get(elsewhere.address) as response,
    ):
        assert response.status == 400
    assert len(wires_of(kernel)) == 1


async def test_an_address_that_nobody_of_ours_wrote_is_not_believed(
    kernel: Instance, second: Instance, person: Person, balancer: Balancer
) -> None:
    """Requests carry tokens: they must not go where somebody who can write to Redis says."""
    stranger = "f" * 16
    key = f"emotrack:{kernel.runtime.settings.deployment}:alive:{stranger}"
    async with Redis.from_url(REDIS) as redis, ClientSession() as session:
        sent = sum(balancer.sent.values())
        await redis.set(key, f"{'0' * 16}{balancer.url}", ex=10)
        try:
            query = {"EIO": "4", "transport": "polling", "sid": stranger + "x" * 20}
            packet = "4" + connect_packet(PLACE, token_of(kernel, person, seconds=60))
            async with session.post(
                f"{second.url}/socket.io/", params=query, data=packet
            ) as response:
                assert response.status == 400
        finally:
            await redis.delete(key)
    assert sum(balancer.sent.values()) == sent

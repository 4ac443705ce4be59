"""Connections: so many of one person, of one address, of nobody, and none faster than it may be."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientSession

from server import gate, transport
from server.limits import Rate
from tests.backend import Backend
from tests.client import Refused
from tests.instance import Instance
from tests.server.raw import RawPolling, RawSocket, connect_packet, event_packet
from tests.server.trial import PLACE, delivery_of, start_trial, wait_until, wires_of

HANDSHAKE = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture
async def strict(backend: Backend) -> AsyncIterator[Instance]:
    async with start_trial(backend, rate_limit_scale=1) as server:
        yield server


async def shake_hands(server: Instance, **options: Any) -> str:
    """`ok`, or the code of the error."""
    status, body = await server.request("GET", HANDSHAKE, **options)
    return "ok" if status == 200 else str(body["error"]["code"])


async def test_connections_that_nobody_signs_in_on_are_few(
    strict: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "UNKNOWN_PER_ADDRESS", 3)
    person = await strict.add_person()
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(RawSocket.open(strict.url)) for _ in range(3)]
        assert await shake_hands(strict) == "rate_limited"
        await sockets[0].join(PLACE, person.token)
        assert await shake_hands(strict) == "ok", "one of them is somebody's now"
        assert await shake_hands(strict) == "rate_limited"
    await wait_until(lambda: len(wires_of(strict)) == 1, "the others are gone")
    assert await shake_hands(strict) == "ok"


async def test_all_that_is_nobodys_is_bounded_too(
    strict: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "UNKNOWN", 2)
    assert [await shake_hands(strict) for _ in range(3)] == ["ok", "ok", "unavailable"]


async def test_one_address_holds_only_so_many(
    strict: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "PER_ADDRESS", 2)
    person = await strict.add_person()
    first, _ = [await strict.connect(person, PLACE) for _ in range(2)]
    assert await shake_hands(strict) == "rate_limited"
    await first.close()
    await wait_until(lambda: len(wires_of(strict)) == 1, "it has gone")
    assert await shake_hands(strict) == "ok"


async def test_addresses_behind_a_proxy_are_counted_apart(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "PER_ADDRESS", 1)
    async with start_trial(backend, rate_limit_scale=1, trusted_proxies="127.0.0.0/8") as server:
        for address in ("203.0.113.5", "203.0.113.6"):
            headers = {"X-Forwarded-For": address}
            assert await shake_hands(server, headers=headers) == "ok"
            assert await shake_hands(server, headers=headers) == "rate_limited"


async def test_handshakes_come_only_so_fast(
    strict: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "HANDSHAKES", Rate(3, per=60))
    codes = [await shake_hands(strict) for _ in range(5)]
    assert codes == ["ok", "ok", "ok", "rate_limited", "rate_limited"]


async def test_a_person_has_only_so_many_connections(
    strict: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "PER_USER", 2)
    person, other = await strict.add_person(), await strict.add_person()
    first = await strict.connect(person, PLACE, "/account")
    await strict.connect(person, PLACE, transports=("polling",))
    with pytest.raises(Refused) as refused:
        await strict.connect(person, PLACE)
    assert refused.value.code == "rate_limited"
    assert refused.value.error["retry_after"] > 0
    await strict.connect(other, PLACE)
    await first.close()
    await wait_until(lambda: len(wires_of(strict)) == 2, "it has gone")
    await strict.connect(person, PLACE)


async def test_a_flood_of_packets_closes_the_connection(
    strict: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BURST", 50)
    monkeypatch.setattr(gate, "PER_SECOND", 1)
    person = await strict.add_person()
    async with RawSocket.open(strict.url) as socket:
        await socket.join(PLACE, person.token)
        for number in range(100):
            await socket.send(event_packet(PLACE, "echo:get", "{}", ack=number))
        closed = await socket.wait_closed()
    assert (closed.code, closed.reason) == (1008, "too_fast")
    with pytest.raises(Refused) as refused:
        await strict.connect(person, PLACE)
    assert refused.value.code == "rate_limited", "another connection is no way round"


async def test_a_flood_in_one_post_ends_the_session(
    strict: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BURST", 50)
    monkeypatch.setattr(gate, "PER_SECOND", 1)
    person = await strict.add_person()
    async with ClientSession() as session, RawPolling(session, strict.url) as polling:
        await polling.join(PLACE, person.token)
        status, body = await polling.post(*[event_packet(PLACE, "echo:get", "{}")] * 100)
        assert status == 400
        assert body["error"]["fields"][0]["code"] == "too_fast"


async def test_who_says_nothing_of_themselves_may_say_little(strict: Instance) -> None:
    async with RawSocket.open(strict.url) as socket:
        for _ in range(200):
            await socket.send(event_packet(PLACE, "echo:get", "{}", ack=1))
        closed = await socket.wait_closed()
    assert (closed.code, closed.reason) == (1008, "too_fast")


async def test_what_a_client_kept_while_it_was_offline_is_no_flood(strict: Instance) -> None:
    person = await strict.add_person()
    async with RawSocket.open(strict.url) as socket:
        await socket.join(PLACE, person.token)
        for number in range(900):
            await socket.send(event_packet(PLACE, "echo:get", "{}", ack=number))
        answers = [await socket.answer(PLACE, number) for number in range(900)]
    assert {"ok" if "data" in a else a["error"]["code"] for a in answers} == {"ok", "rate_limited"}


async def test_a_connection_joins_only_so_many_namespaces(
    kernel: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_NAMESPACES", 3)
    async with RawSocket.open(kernel.url) as socket:
        for number in range(4):
            await socket.send(connect_packet(f"/unknown{number}", None))
        closed = await socket.wait_closed()
    assert (closed.code, closed.reason) == (1008, "too_many_namespaces")


async def test_nothing_is_remembered_of_those_who_left(strict: Instance) -> None:
    person = await strict.add_person()
    clients = [await strict.connect(person, PLACE) for _ in range(3)]
    clients += [await strict.connect(person, PLACE, transports=("polling",)) for _ in range(2)]
    for client in clients:
        await client.close()
    await wait_until(lambda: not wires_of(strict), "all have gone")
    door = gate_of(strict)
    assert not door._addresses
    assert not door._unknown
    assert not door._users
    assert door._unknown_in_all == 0
    await wait_until(lambda: not door._paces, "their pace is forgotten")


def gate_of(server: Instance) -> gate.Gate:
    found = delivery_of(server)._transport
    assert found is not None
    return found._gate

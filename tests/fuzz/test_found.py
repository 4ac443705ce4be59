"""The smallest form of what the fuzz has found, once each."""

import gc
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession

from storage import database
from storage.database import Pool
from tests.backend import Backend
from tests.fuzz.setting import Census, hear_complaints, wait_until_back
from tests.instance import Instance, Person, start_instance
from tests.server.raw import RawSocket
from tests.server.trial import delivery_of, wait_until, wires_of

# The door knows no database: once is enough.
pytestmark = pytest.mark.embedded

DEEP = "[" * 1100 + "]" * 1100
PLACE = "/account"


@pytest.fixture
async def person(fuzzed: Instance) -> Person:
    return await fuzzed.add_person()


async def test_space_around_the_name_of_an_event_too_deep_to_read_is_no_reason_to_close(
    fuzzed: Instance, person: Person
) -> None:
    async with RawSocket.open(fuzzed.url) as socket:
        await socket.join(PLACE, person.token)
        await socket.send(f'42{PLACE},1 [ "profile:get" , {DEEP}]')
        assert (await socket.answer(PLACE, 1))["error"]["code"] == "invalid"


@pytest.mark.parametrize("body", [DEEP, f'{{"profile:get":{DEEP}}}', f"[5,{DEEP}]", "[" * 1100])
async def test_what_is_too_deep_to_read_and_no_event_is_malformed(
    fuzzed: Instance, person: Person, body: str
) -> None:
    with hear_complaints() as complaints:
        async with RawSocket.open(fuzzed.url) as socket:
            await socket.join(PLACE, person.token)
            await socket.send(f"42{PLACE},1{body}")
            assert (await socket.wait_closed()).reason == "malformed_packet"
            assert not any(packet.startswith("3") for packet in socket.seen)
    assert not complaints


@pytest.mark.parametrize(
    "packet",
    [
        "420-{}1{}",
        "400-{}",
        "45{}1{}",
        "4\u0662{}1{}",
        "42{}\u0665{}",
        "45\u0661-{}1{}",
    ],
    ids=ascii,
)
async def test_a_header_that_no_client_writes_is_malformed(
    fuzzed: Instance, person: Person, packet: str
) -> None:
    async with RawSocket.open(fuzzed.url) as socket:
        await socket.join(PLACE, person.token)
        await socket.send(packet.format(f"{PLACE},", '["profile:get",{}]'))
        assert (await socket.wait_closed()).reason == "malformed_packet"


async def test_no_task_waits_for_the_next_ping_of_a_connection_that_has_ended(
    fuzzed: Instance, person: Person
) -> None:
    device = await fuzzed.connect(person, PLACE)
    before = Census.take(fuzzed)
    for _ in range(3):
        async with RawSocket.open(fuzzed.url) as socket:
            await socket.join(PLACE, person.token)
    await wait_until_back(fuzzed, before)
    await device.ask("profile:get", namespace=PLACE)


@pytest.mark.parametrize("path", ["/socket.io/?EIO=4&transport=polling&sid=x", "/auth/login"])
async def test_a_body_that_is_not_packed_as_it_says_is_no_error_of_ours(
    fuzzed: Instance, path: str
) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    with hear_complaints() as complaints:
        async with (
            ClientSession() as http,
            http.post(fuzzed.url + path, data=b"{}xxxxxxxxxxxxxxx", headers=headers) as response,
        ):
            assert response.status in (400, 422)
    assert not complaints


async def test_presence_that_cannot_be_told_is_no_error(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "POOL_TIMEOUT", 0.1)
    monkeypatch.setattr(database, "POOL_SIZE", 2)
    async with start_instance(backend, jobs=False) as server, AsyncExitStack() as stack:
        client = await server.connect(await server.add_person(), PLACE)
        await wait_until(
            lambda: not delivery_of(server)._presence.is_running, "they are said to be there"
        )
        with hear_complaints() as complaints:
            pool = server.runtime.database.writer.pool
            assert isinstance(pool, Pool)
            for _ in range(pool.size()):
                session = server.runtime.database.session(write=True)
                await (await stack.enter_async_context(session)).connection()
            await client.close()
            await wait_until(lambda: not wires_of(server), "they are gone")
            await wait_until(
                lambda: not delivery_of(server)._presence.is_running, "it was tried to say so"
            )
            gc.collect()
        assert not complaints

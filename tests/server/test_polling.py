"""Long polling: as good as a websocket, and never a silent loss."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from server.wire import Wire
from tests.instance import Instance, Person
from tests.server.raw import Closed, RawPolling, connect_packet, event_packet, upgrade_and_vanish
from tests.server.trial import PLACE, numbers, tell, wait_until, wires_of

# The transport knows no database: once is enough.
pytestmark = pytest.mark.embedded


@pytest.fixture
async def polling(kernel: Instance) -> AsyncIterator[RawPolling]:
    async with ClientSession() as session, RawPolling(session, kernel.url) as polling:
        yield polling


async def start_poll(
    kernel: Instance, person: Person, polling: RawPolling
) -> tuple[Wire, asyncio.Task[tuple[int, str]]]:
    """Join, hear what there is, and let one more poll wait."""
    await polling.join(PLACE, person.token)
    await polling.wait_for(f"2{PLACE},")
    (wire,) = wires_of(kernel).values()
    poll = asyncio.create_task(polling.get())
    await wait_until(lambda: wire.polling, "the poll waits")
    return wire, poll


async def test_a_whole_story_by_polling_alone(kernel: Instance, person: Person) -> None:
    client = await kernel.connect(person, PLACE, "/account", transports=("polling",))
    assert (await client.ask("echo:get", {"number": 3}, namespace=PLACE))["number"] == 3
    await client.ask("profile:update", {"name": "Anna"}, namespace="/account")
    await tell(kernel, [person], *range(50))
    await client.wait_for_seq(50, namespace=PLACE)
    await client.wait_for("profile:updated", namespace="/account")
    assert numbers(client) == list(range(50))
    assert client.transport == "polling"


async def test_all_packets_of_a_large_post_are_handled_and_answered_in_order(
    kernel: Instance, person: Person, polling: RawPolling
) -> None:
    packets = [event_packet(PLACE, "echo:get", f'{{"number":{n}}}', ack=n) for n in range(300)]
    status, _ = await polling.post(connect_packet(PLACE, person.token), *packets)
    assert status == 200
    acks: list[str] = []
    while len(acks) < 300:
        packet = await polling.receive()
        if packet.startswith("3"):
            acks.append(packet)
    assert acks == [
        f'3{PLACE},{n}[{{"data":{{"number":{n},"text":"","parts":[]}}}}]' for n in range(300)
    ]


async def test_too_many_packets_in_one_post_end_the_session(
    kernel: Instance, person: Person, polling: RawPolling
) -> None:
    status, body = await polling.post(*["3"] * 10_001)
    assert status == 400
    assert body["error"]["fields"][0]["code"] == "too_many_packets"


async def test_overlapping_polls_end_the_session(
    kernel: Instance, person: Person, polling: RawPolling
) -> None:
    await polling.join(PLACE, person.token)
    await polling.wait_for(f"2{PLACE},")
    first = asyncio.create_task(polling.get())
    await wait_until(lambda: any(w.polling for w in wires_of(kernel).values()), "the poll waits")
    status, body = await polling.get()
    assert (status, "overlapping_polls" in body) == (400, True)
    status, body = await first
    assert (status, "overlapping_polls" in body) == (400, True)
    assert (await polling.post("3"))[0] == 400


async def test_a_poll_that_a_library_repeats_ends_the_session(
    kernel: Instance, person: Person, polling: RawPolling
) -> None:
    """Clients mark each poll anew: the same mark again means that its response was lost."""
    await polling.join(PLACE, person.token)
    await polling.wait_for(f"2{PLACE},")
    address = polling.address
    polling.address = f"{address}&t=first"
    await tell(kernel, [person], 1)
    assert (await polling.get())[0] == 200
    await tell(kernel, [person], 2)
    status, body = await polling.get()
    assert (status, "repeated_poll" in body) == (400, True)
    polling.address = f"{address}&t=second"
    await wait_until(lambda: not wires_of(kernel), "the session is forgotten")


async def test_what_an_aborted_poll_may_have_missed_comes_with_after(
    kernel: Instance, person: Person, polling: RawPolling
) -> None:
    wire, poll = await start_poll(kernel, person, polling)
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    await tell(kernel, [person], 1, 2, 3)
    await wait_until(lambda: wire.closing, "the session ends")
    assert await polling.get() == (200, "1")
    client = await kernel.connect(person, PLACE, after=0, transports=("polling",))
    await client.wait_for_seq(3, namespace=PLACE)
    assert numbers(client) == [1, 2, 3]


async def test_an_ended_session_is_told_so(
    kernel: Instance, person: Person, polling: RawPolling
) -> None:
    await polling.join(PLACE, person.token)
    await polling.post(event_packet(PLACE, "echo:gone", "{}"))
    with pytest.raises(Closed):
        await polling.wait_for("never")
    await wait_until(lambda: not wires_of(kernel), "the session is forgotten", patience=1)


async def test_moving_to_a_websocket_loses_nothing_while_messages_flow(
    kernel: Instance, person: Person
) -> None:
    sending = asyncio.create_task(tell(kernel, [person], *range(200)))
    client = await kernel.connect(person, PLACE, after=0, transports=("polling", "websocket"))
    assert client.transport == "websocket"
    await sending
    await client.wait_for_seq(200, namespace=PLACE)
    assert numbers(client) == list(range(200))


async def test_a_failed_probe_leaves_the_polling_session_alone(
    kernel: Instance, person: Person, polling: RawPolling
) -> None:
    await polling.join(PLACE, person.token)
    address = polling.address.replace("transport=polling", "transport=websocket")
    async with ClientSession() as session:
        for packets in (["nonsense"], ["2probe", "nonsense"], []):
            async with session.ws_connect(address) as websocket:
                for packet in packets:
                    await websocket.send_str(packet)
                if packets == ["2probe", "nonsense"]:
                    assert await websocket.receive_str() == "3probe"
                await websocket.close()
    await polling.post(event_packet(PLACE, "echo:get", "{}", ack=1))
    assert "data" in (await polling.wait_for(f"3{PLACE},1"))[0]


async def test_a_poll_ends_when_a_client_in_a_hurry_moves_to_a_websocket(
    kernel: Instance, person: Person, polling: RawPolling
) -> None:
    _, poll = await start_poll(kernel, person, polling)
    address = polling.address.replace("transport=polling", "transport=websocket")
    async with ClientSession() as session, session.ws_connect(address) as websocket:
        # Without waiting for the answer to the probe.
        await websocket.send_str("2probe")
        await websocket.send_str("5")
        await websocket.send_str(event_packet(PLACE, "echo:get", "{}", ack=1))
        assert await poll == (200, "6")
        assert await websocket.receive_str() == "3probe"
        heard = ""
        while not heard.startswith(f"43{PLACE},1"):
            heard = await websocket.receive_str()


async def test_a_second_websocket_on_one_session_is_refused(
    kernel: Instance, person: Person
) -> None:
    client = await kernel.connect(person, PLACE)
    (sid,) = wires_of(kernel)
    path = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
    assert (await kernel.request("GET", path))[0] == 400
    assert (await kernel.request("POST", path))[0] == 400
    assert (await client.ask("echo:get", {}, namespace=PLACE))["text"] == ""


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("EIO=3&transport=polling", {}),
        ("EIO=4&transport=carrier_pigeon", {}),
        ("EIO=4&transport=polling&sid=unknown", {}),
        ("EIO=4&transport=websocket", {}),
        ("EIO=4&transport=websocket", {"Upgrade": "websocket"}),
        ("EIO=4&transport=websocket", {"Upgrade": "websocket", "Connection": "Upgrade"}),
        ("EIO=4&transport=polling&j=x", {}),
        ("EIO=4&transport=polling", {"Origin": "https://elsewhere.example.com"}),
    ],
)
async def test_a_handshake_that_is_none_is_refused(
    kernel: Instance, query: str, headers: dict[str, str]
) -> None:
    status, _ = await kernel.request("GET", f"/socket.io/?{query}", headers=headers)
    assert status == 400
    await wait_until(lambda: not wires_of(kernel), "no session is left", patience=1)


async def test_a_client_that_vanishes_while_it_moves_to_a_websocket_is_no_error(
    kernel: Instance, person: Person, polling: RawPolling, caplog: pytest.LogCaptureFixture
) -> None:
    address = polling.address.replace("transport=polling", "transport=websocket")
    for place in (address, address.partition("&sid=")[0]):
        for _ in range(20):
            upgrade_and_vanish(place)
            # A request that is answered later came later.
            await kernel.request("GET", "/health/live")
    await polling.join(PLACE, person.token)
    await wait_until(lambda: len(wires_of(kernel)) == 1, "only the polling session is there")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]

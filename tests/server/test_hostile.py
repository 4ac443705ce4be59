"""Whatever a client sends: well-formed events are answered, all else closes with a reason."""

import json

import pytest
from aiohttp import ClientSession

from tests.instance import Instance, Person
from tests.server.raw import Closed, RawPolling, RawSocket, event_packet
from tests.server.trial import PLACE

# The door knows no database: once is enough.
pytestmark = pytest.mark.embedded

BIG = "x" * 999_800


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


WELL_FORMED: list[tuple[str, ...]] = [
    (),
    ("{}", "{}"),
    ("[]",),
    ('"text"',),
    ("5",),
    ("1.5",),
    ("null",),
    ("true",),
    (deep(100),),
    (deep(1500),),
    (deep(100_000),),
    ('{"parts":' + deep(100) + "}",),
    ('{"number":"5"}',),
    ('{"number":5.5}',),
    ('{"number":true}',),
    ('{"number":[]}',),
    ('{"text":7}',),
    ('{"parts":{"0":"a"}}',),
    ('{"unknown":1}',),
    ('{"__proto__":{}}',),
    (f'{{"number":{10**30}}}',),
    (f'{{"number":{"9" * 5000}}}',),
    ('{"number":1e999}',),
    ('{"number":NaN}',),
    ('{"number":-Infinity}',),
    ('{"text":"a\\u0000b"}',),
    ('{"a\\u0000b":1}',),
    ('{"text":"\\ud800"}',),
    ('{"\\udfff":"x"}',),
    (f'{{"number":1,"text":7,"parts":["{BIG[:990_000]}"]}}',),
    (f'{{"{BIG[:990_000]}":1}}',),
    ("{" + ",".join(f'"{n}":0' for n in range(90_000)) + "}",),
    ("[" * 40 + f'{{"{BIG[:900_000]}\\u0000":1}}' + "]" * 40,),
]


async def test_a_well_formed_event_is_answered_whatever_it_holds(
    kernel: Instance, person: Person, subtests: pytest.Subtests
) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        for number, pieces in enumerate(WELL_FORMED):
            with subtests.test(ascii("|".join(pieces))[:40]):
                for event in ("echo:get", "thing:add", "many:add", "token:refresh"):
                    answer = await socket.ask(PLACE, number, event, *pieces)
                    assert answer["error"]["code"] == "invalid"
                    assert len(json.dumps(answer)) < 50_000
        assert (await socket.ask(PLACE, 99, "echo:get", '{"number":1}'))["data"]["number"] == 1


@pytest.mark.parametrize(
    "text", ["ё", "\U0001f600", "\u2028", "\x7f", "a" * 999_800], ids=lambda text: ascii(text[:5])
)
async def test_any_text_comes_back_as_it_was(kernel: Instance, person: Person, text: str) -> None:
    body = json.dumps({"text": text}, ensure_ascii=False)
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        assert (await socket.ask(PLACE, 1, "echo:get", body))["data"]["text"] == text


async def test_binary_attachments_are_answered(kernel: Instance, person: Person) -> None:
    placeholders = ",".join(f'{{"_placeholder":true,"num":{n}}}' for n in range(10))
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        for ack, body in enumerate([f'{{"parts":[{placeholders}]}}', placeholders, "{}"]):
            await socket.send(f'4510-{PLACE},{ack}["echo:get",{body}]')
            for _ in range(10):
                await socket.send(b"\x00\xff")
            answer = await socket.answer(PLACE, ack)
            assert ("data" in answer) == (body == "{}")
        await socket.send(f'451-{PLACE},7["echo:get",{deep(900)}]')
        await socket.send(b"")
        assert (await socket.answer(PLACE, 7))["error"]["code"] == "invalid"


@pytest.mark.parametrize("ack", [0, 2**31, 2**53, 2**64, 10**99])
async def test_any_ack_id_comes_back(kernel: Instance, person: Person, ack: int) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        assert "data" in await socket.ask(PLACE, ack, "echo:get", "{}")
        assert "error" in await socket.ask("/other", ack, "echo:get", "{}")


@pytest.mark.parametrize("name", ["", " ", "x" * 10_000, "a\\u0000", "\\ud800", "echo:get "])
async def test_any_event_name_is_answered(kernel: Instance, person: Person, name: str) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        await socket.send(f'42{PLACE},5["{name}",{{}}]')
        assert (await socket.answer(PLACE, 5))["error"]["code"] == "unknown_event"


MALFORMED = [
    "",
    "zzz",
    "2",
    "6",
    "4",
    "49",
    "4x",
    "47/trial,[]",
    "42",
    "42{}",
    "42[]",
    "42[5]",
    '42["x"',
    "42/trial,",
    "42/trial,1",
    "42/trial,1[]",
    "42/trial,1{}",
    '42/trial,1["x"]x',
    '42/trial,1["x",]',
    "42/trial," + "1" * 101 + '["x"]',
    "43/trial,1[]",
    '44/trial,{"message":"x"}',
    '461-/trial,1["x"]',
    '421-/trial,1["x"]',
    '4511-/trial,1["x"]',
    '45999999999999-/trial,1["x"]',
    '451-/trial,1["x"]\x1e42["x"]',
    "40/trial,{",
]


async def test_a_malformed_packet_closes_the_websocket_with_a_reason(
    kernel: Instance, person: Person, subtests: pytest.Subtests
) -> None:
    for packet in MALFORMED:
        with subtests.test(ascii(packet)):
            async with RawSocket.open(kernel.url) as socket:
                await socket.join(PLACE, person.token)
                await socket.send(packet)
                await socket.send(event_packet(PLACE, "thing:add", '{"number":1}', ack=1))
                closed = await socket.wait_closed()
            assert (closed.code, closed.reason) == (1008, "malformed_packet")
            assert "thing:added" not in str(socket.seen), "nothing runs after it"


async def test_a_malformed_packet_ends_a_polling_session_with_a_reason(
    kernel: Instance, person: Person, subtests: pytest.Subtests
) -> None:
    add = event_packet(PLACE, "thing:add", '{"number":1}')
    for packet in [*MALFORMED, "b!", "bAAA"]:
        with subtests.test(ascii(packet)):
            async with ClientSession() as session, RawPolling(session, kernel.url) as polling:
                await polling.join(PLACE, person.token)
                status, body = await polling.post(packet, add)
                assert status == 400
                assert body["error"]["fields"][0]["code"] == "malformed_packet"
                with pytest.raises(Closed):
                    await polling.wait_for("never")
    client = await kernel.connect(person, PLACE, after=0)
    assert (await client.wait_for("stream:ready", namespace=PLACE)).data["head"] == 0


UNANSWERABLE: list[tuple[list[str | bytes], str]] = [
    ([b"\x00"], "malformed_packet"),
    (['451-/trial,1["echo:get",{}]', "2"], "malformed_packet"),
    (['451-/trial,1["echo:get",{}]', '42/trial,2["echo:get",{}]'], "malformed_packet"),
    (['452-/trial,1["echo:get",{}]', b"", '43/trial,1["x"]'], "malformed_packet"),
    (['451-/trial,1["x",{"_placeholder":true,"num":5}]', b""], "malformed_packet"),
    (['451-/trial,1["x",{"_placeholder":true,"num":"0"}]', b""], "malformed_packet"),
    (["40/trial,{}"], "already_connected"),
    (['42/trial,["echo:gone",{}]'], "unknown_event"),
    (['42/trial,["connect",{}]'], "unknown_event"),
    (['42/trial,["echo:get",{"no":1}]'], "invalid"),
    (['42/trial,["many:add",{"no":1}]'], "invalid"),
    (['42/other,["echo:get",{}]'], "unauthenticated"),
]


async def test_what_cannot_be_answered_closes_the_connection(
    kernel: Instance, person: Person, subtests: pytest.Subtests
) -> None:
    for packets, reason in UNANSWERABLE:
        with subtests.test(ascii(packets)):
            async with RawSocket.open(kernel.url) as socket:
                await socket.join(PLACE, person.token)
                for packet in packets:
                    await socket.send(packet)
                closed = await socket.wait_closed()
            assert (closed.code, closed.reason) == (1008, reason)


async def test_a_packet_over_the_limit_closes_the_websocket(
    kernel: Instance, person: Person
) -> None:
    for packet in (f"42{PLACE},1[{'1' * 1_000_001}]", b"x" * 1_000_001):
        async with RawSocket.open(kernel.url) as socket:
            await socket.join(PLACE, person.token)
            await socket.send(packet)
            assert (await socket.wait_closed()).code == 1009


async def test_a_body_over_the_limit_ends_the_polling_session(
    kernel: Instance, person: Person
) -> None:
    async with ClientSession() as session, RawPolling(session, kernel.url) as polling:
        await polling.join(PLACE, person.token)
        status, body = await polling.post("4" + "x" * 1_000_000)
    assert status == 400
    assert body["error"]["fields"][0]["code"] == "too_large"


async def test_an_attachment_over_polling_is_answered(kernel: Instance, person: Person) -> None:
    async with ClientSession() as session, RawPolling(session, kernel.url) as polling:
        await polling.join(PLACE, person.token)
        await polling.post(
            f'451-{PLACE},1["echo:get",{{}},{{"_placeholder":true,"num":0}}]', "bAAA="
        )
        (answer,) = await polling.wait_for(f"3{PLACE},1")
    assert answer["error"]["code"] == "invalid"

"""The one door: what clients may send, in which order it is done, and how it is answered."""

import asyncio
import contextlib
import json
from time import monotonic
from typing import Any

import pytest
import structlog

from server import batches, calls, transport
from server.log import configure_logging
from storage.accounts import Role
from tests.client import Client, Refused
from tests.instance import Instance, Person
from tests.server.raw import Closed, RawSocket, connect_packet, event_packet
from tests.server.trial import (
    DETAIL,
    PLACE,
    SECRET_TEXT,
    STUCK,
    dispatch_of,
    token_of,
    wait_until,
)


@pytest.mark.parametrize("event", ["connect", "disconnect", "connect_error", "disconnecting"])
async def test_reserved_events_from_a_client_are_refused_and_change_nothing(
    kernel: Instance, person: Person, event: str
) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        answer = await socket.ask(PLACE, 1, event, '{"token":"x"}')
        assert answer["error"]["code"] == "unknown_event"
        assert (await socket.ask(PLACE, 2, "echo:get", '{"number":1}'))["data"]["number"] == 1


async def test_an_unknown_event_is_answered(kernel: Instance, person: Person) -> None:
    client = await kernel.connect(person, PLACE)
    with pytest.raises(Refused) as refused:
        await client.ask("echo:gone", {}, namespace=PLACE)
    assert refused.value.error == {
        "code": "unknown_event",
        "message": refused.value.error["message"],
        "retryable": False,
    }


@pytest.mark.parametrize(
    ("event", "payload"),
    [("thing:break", {"user_ids": []}), ("many:add", {"number": 13})],
)
async def test_an_exception_in_a_handler_is_answered_without_detail(
    kernel: Instance, person: Person, event: str, payload: dict[str, object]
) -> None:
    client = await kernel.connect(person, PLACE)
    with pytest.raises(Refused) as refused:
        await client.ask(event, payload, namespace=PLACE)
    assert set(refused.value.error) == {"code", "message", "retryable"}
    assert refused.value.code == "internal"
    assert DETAIL not in str(refused.value.error)


async def test_the_events_of_one_client_run_in_the_order_sent(
    kernel: Instance, person: Person
) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        for number in range(8):
            event = ("slow:get", "many:add")[number % 2]
            await socket.send(event_packet(PLACE, event, f'{{"number":{number}}}', ack=number))
        acks: list[str] = []
        while len(acks) < 8:
            packet = await socket.receive()
            acks += packet[len(f"3{PLACE},")] if packet[0] == "3" else ""
    assert acks == list("01234567")


async def test_one_bad_request_of_a_batch_fails_alone(kernel: Instance, person: Person) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        bodies = ['{"number":1}', '{"number":13}', '{"number":-1}', "{}", '{"number":2}']
        for ack, body in enumerate(bodies):
            await socket.send(event_packet(PLACE, "many:add", body, ack=ack))
        answers = [await socket.answer(PLACE, ack) for ack in range(len(bodies))]
    codes = [answer.get("error", {}).get("code", "ok") for answer in answers]
    assert codes == ["ok", "internal", "not_found", "invalid", "ok"]


async def test_who_waits_behind_a_stuck_batch_is_answered_when_it_is(
    kernel: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "TIMEOUT", 1.0)
    monkeypatch.setattr(batches, "LEAST", 0.2)
    clients = [await kernel.connect(await kernel.add_person(), PLACE) for _ in range(3)]
    started = monotonic()
    answers = await asyncio.gather(
        *(client.ask("many:add", {"number": STUCK}, namespace=PLACE) for client in clients),
        return_exceptions=True,
    )
    assert [isinstance(answer, Refused) and answer.code for answer in answers] == [
        "unavailable"
    ] * 3
    assert monotonic() - started < 2


async def test_a_batch_that_is_stuck_is_passed_by_others(
    kernel: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "TIMEOUT", 5.0)
    monkeypatch.setattr(batches, "LEAST", 0.2)
    stuck, *others = [await kernel.connect(await kernel.add_person(), PLACE) for _ in range(4)]
    line = dispatch_of(kernel)._batches._lines[PLACE, "many:add"]
    asking = asyncio.create_task(stuck.ask("many:add", {"number": STUCK}, namespace=PLACE))
    await wait_until(lambda: line.running, "the batch is begun")

    for number, client in enumerate(others):
        answer = await client.ask("many:add", {"number": number}, namespace=PLACE)
        assert answer["number"] == number

    assert not asking.done()
    with pytest.raises(Refused):
        await asking


async def test_a_full_batch_passes_one_that_is_not_slow_yet(
    kernel: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "TIMEOUT", 5.0)
    monkeypatch.setattr(batches, "LEAST", 0.2)
    monkeypatch.setattr(batches, "SLOW", 60.0)
    stuck, *others = [await kernel.connect(await kernel.add_person(), PLACE) for _ in range(17)]
    line = dispatch_of(kernel)._batches._lines[PLACE, "many:add"]

    def ask(client: Client, number: int) -> "asyncio.Task[dict[str, Any]]":
        return asyncio.create_task(client.ask("many:add", {"number": number}, namespace=PLACE))

    asking = ask(stuck, STUCK)
    await wait_until(lambda: line.running, "the batch is begun")
    *most, last = others
    asked = [ask(client, number) for number, client in enumerate(most, start=20)]
    await wait_until(lambda: len(line._waiting) == len(most), "most to wait")
    assert len(line.running) == 1
    asked.append(ask(last, 20 + len(most)))

    assert [answer["number"] for answer in await asyncio.gather(*asked)] == list(range(20, 36))
    assert not asking.done()
    with pytest.raises(Refused):
        await asking


async def test_a_person_without_the_role_is_refused(kernel: Instance, person: Person) -> None:
    admin = await kernel.add_person(Role.ADMIN)
    outsider, insider = await kernel.connect(person, PLACE), await kernel.connect(admin, PLACE)
    with pytest.raises(Refused) as refused:
        await outsider.ask("thing:guard", namespace=PLACE)
    assert refused.value.code == "forbidden"
    assert await insider.ask("thing:guard", namespace=PLACE) == {}


async def test_events_sent_before_the_join_is_done_are_answered_after_it(
    kernel: Instance, person: Person
) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.send(connect_packet(PLACE, person.token))
        await socket.send(event_packet(PLACE, "echo:get", '{"number":5}', ack=1))
        assert (await socket.receive()).startswith(f"0{PLACE},")
        assert (await socket.receive()).startswith(f'2{PLACE},["stream:ready"')
        assert (await socket.answer(PLACE, 1))["data"]["number"] == 5


async def test_events_sent_before_a_refused_join_are_answered_unauthenticated(
    kernel: Instance,
) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.send(connect_packet(PLACE, "no token"))
        await socket.send(event_packet(PLACE, "echo:get", "{}", ack=1))
        assert (await socket.receive()).startswith(f"4{PLACE},")
        assert (await socket.answer(PLACE, 1))["error"]["code"] == "unauthenticated"


async def test_an_event_to_a_namespace_never_joined_is_unauthenticated(
    kernel: Instance, person: Person
) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        answer = await socket.ask("/chat", 1, "chat:list", "{}")
        assert answer["error"]["code"] == "unauthenticated"
        await socket.send(event_packet("/chat", "chat:list", "{}"))
        assert (await socket.wait_closed()).reason == "unauthenticated"


async def test_two_namespaces_on_one_connection_do_not_mix(
    kernel: Instance, person: Person
) -> None:
    client = await kernel.connect(person, PLACE, "/account")
    await client.ask("profile:update", {"name": "Anna"}, namespace="/account")
    await client.ask("thing:add", {"number": 1}, namespace=PLACE)
    assert (await client.wait_for("profile:updated", namespace="/account")).seq == 1
    assert (await client.wait_for("thing:added", namespace=PLACE)).seq == 1
    assert [told.event for told in client.pushes(PLACE)] == ["thing:added"]


@pytest.mark.parametrize(
    ("namespace", "auth", "code"),
    [
        (PLACE, None, "unauthenticated"),
        (PLACE, {"token": "nonsense"}, "unauthenticated"),
        ("/nowhere", {"token": "valid"}, "not_found"),
        (PLACE, {"token": "valid", "extra": 1}, "invalid"),
        (PLACE, {"token": "valid", "after": -1}, "invalid"),
        (PLACE, {"token": 5}, "invalid"),
        (PLACE, {}, "invalid"),
        (PLACE, ["valid"], "invalid"),
    ],
)
async def test_a_refused_join_says_why(
    kernel: Instance, person: Person, namespace: str, auth: object, code: str
) -> None:
    text = json.dumps(auth).replace('"valid"', f'"{person.token}"') if auth is not None else ""
    async with RawSocket.open(kernel.url) as socket:
        await socket.send(f"40{namespace},{text}")
        refusal = await socket.wait_for(f"4{namespace},")
        assert refusal["message"] == refusal["data"]["code"] == code
        assert refusal["data"]["retryable"] is False
        await socket.join(PLACE, person.token)


async def test_the_official_client_learns_why_it_was_refused(
    kernel: Instance, person: Person
) -> None:
    with pytest.raises(Refused) as refused:
        await kernel.connect(person, "/nowhere")
    assert refused.value.code == "not_found"


async def test_an_expired_token_does_not_join(kernel: Instance, person: Person) -> None:
    old = token_of(kernel, person, seconds=-1)
    with pytest.raises(Refused) as refused:
        await kernel.connect(old, PLACE)
    assert refused.value.code == "token_expired"


async def test_a_connection_belongs_to_one_sign_in(kernel: Instance, person: Person) -> None:
    stranger = await kernel.add_person()
    again = await kernel.sign_in(person.email)
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        for other in (stranger, again):
            await socket.send(connect_packet("/chat", other.token))
            assert (await socket.wait_for("4/chat,"))["message"] == "forbidden"
        await socket.join("/chat", person.token)


@pytest.mark.parametrize("attempts", [[], ["nonsense"]])
async def test_a_connection_on_which_nobody_signs_in_is_closed(
    kernel: Instance, monkeypatch: pytest.MonkeyPatch, attempts: list[str]
) -> None:
    monkeypatch.setattr(transport, "SIGN_IN_WITHIN", 0.2)
    async with RawSocket.open(kernel.url) as socket:
        for token in attempts:
            await socket.send(connect_packet(PLACE, token))
        closed = await socket.wait_closed()
    assert (closed.code, closed.reason) == (1008, "unauthenticated")


async def test_a_token_in_the_address_is_refused(kernel: Instance, person: Person) -> None:
    path = f"/socket.io/?EIO=4&transport=polling&token={person.token}"
    status, body = await kernel.request("GET", path)
    assert (status, body["error"]["code"]) == (401, "unauthenticated")


async def test_a_namespace_can_be_left_and_joined_again(kernel: Instance, person: Person) -> None:
    async with RawSocket.open(kernel.url) as socket:
        for ack in range(3):
            await socket.join(PLACE, person.token)
            assert "data" in await socket.ask(PLACE, ack, "echo:get", "{}")
            await socket.send(f"41{PLACE},")
        answer = await socket.ask(PLACE, 9, "echo:get", "{}")
        assert answer["error"]["code"] == "unauthenticated"


async def test_what_people_write_reaches_no_log(
    kernel: Instance,
    person: Person,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    configure_logging("DEBUG", as_json=True)
    body = json.dumps({"number": SECRET_TEXT, SECRET_TEXT: 1, "text": SECRET_TEXT})
    hostile: list[str | bytes] = [
        event_packet(PLACE, "echo:get", body, ack=1),
        event_packet(PLACE, SECRET_TEXT, body, ack=2),
        event_packet("/" + SECRET_TEXT, "echo:get", body, ack=3),
        event_packet(
            PLACE, "thing:break", json.dumps({"user_ids": [], "text": SECRET_TEXT}), ack=4
        ),
        event_packet(PLACE, "thing:break", '{"user_ids":[999999999],"text":"t"}', ack=5),
        f'40/{SECRET_TEXT},{{"token":"{SECRET_TEXT}"}}',
        f"4{SECRET_TEXT}",
        SECRET_TEXT,
        f'42{PLACE},["{SECRET_TEXT}',
        f'451-{PLACE},["{SECRET_TEXT}"]',
        SECRET_TEXT.encode(),
        event_packet(PLACE, "thing:add", f'{{"number":"{SECRET_TEXT}"}}'),
    ]
    try:
        for packet in hostile:
            async with RawSocket.open(kernel.url) as socket:
                await socket.join(PLACE, person.token)
                await socket.send(packet)
                await socket.send(event_packet(PLACE, "echo:get", "{}", ack=77))
                with contextlib.suppress(Closed):
                    await socket.answer(PLACE, 77)
        await kernel.request("GET", f"/{SECRET_TEXT}")
        await kernel.request("GET", f"/socket.io/?EIO=4&transport={SECRET_TEXT}")
    finally:
        structlog.reset_defaults()
    logged = "".join(capsys.readouterr()) + caplog.text
    assert "call.failed" in logged
    assert SECRET_TEXT not in logged
    assert person.token not in logged

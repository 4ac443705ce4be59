"""A socket whose token ran out: what it may still do, and whose token wakes it again."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest

from handlers.accounts import people
from server import dispatch
from server.auth import new_id
from server.context import Context
from storage.accounts import Role, Status
from tests.client import Client, Refused
from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.server.raw import Closed, RawSocket, connect_packet, event_packet
from tests.talks import Talk, refusal, start_talk

TRANSPORTS = ("websocket", "polling")
SOON = 3.0
"""Seconds; a token's times are whole seconds, so one of less might be none."""


@pytest.fixture
async def server(start: StartInstance) -> Instance:
    return await start(jobs=False)


@pytest.fixture
async def talk(server: Instance) -> Talk:
    return await start_talk(server)


def issue(server: Instance, person: Person, *, seconds: float, role: Role = Role.PATIENT) -> str:
    """One more token of this sign-in, good for so long."""
    tokens = server.runtime.tokens
    at = server.runtime.clock() + timedelta(seconds=seconds) - tokens.lifetime
    return tokens.issue(
        user_id=person.id, role=role, session_id=person.session_id, at=at, jti=new_id()
    )


async def connect_until_expired(
    server: Instance, person: Person, *places: str, transport: str = "websocket"
) -> Client:
    """A device of this person whose token has run out."""
    soon = issue(server, person, seconds=SOON)
    device = await server.connect(soon, *places, transports=(transport,))
    for place in places:
        await device.wait_for("token:expired", namespace=place)
    return device


async def renew(device: Client, token: str, namespace: str = "/chat") -> str:
    """The code of the error that a token is answered with, or `ok`."""
    try:
        await device.ask("token:refresh", {"token": token}, namespace=namespace)
    except Refused as refused:
        return refused.code
    return "ok"


async def insist(socket: RawSocket, token: str, codes: set[str]) -> None:
    """Ask, and show this token, until the connection is closed. Raises: Closed."""
    shown = json.dumps({"token": token})
    for ack in range(0, 100_000, 2):
        await socket.send(event_packet("/chat", "chat:list", "{}", ack=ack))
        answer = await socket.ask("/chat", ack + 1, "token:refresh", shown)
        codes.add(answer["error"]["code"])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_expired_socket_does_nothing_that_it_is_asked(talk: Talk, transport: str) -> None:
    """Neither what is done singly nor in batches; also what is no event, or no payload."""
    device = await connect_until_expired(
        talk.server, talk.patient, "/chat", "/account", transport=transport
    )
    chat = {"chat_id": talk.chat_id}
    for event, payload in (
        ("chat:list", {}),
        ("message:send", {**chat, "client_ref": str(uuid4()), "text": "Too late"}),
        ("message:read", {**chat, "seq": 1}),
        ("typing:set", {**chat, "active": True}),
        ("message:edit", {"no": "payload"}),
    ):
        assert await refusal(device.ask(event, payload)) == "token_expired"
    end = {"session_id": talk.patient.session_id}
    ending = device.ask("session:end", end, namespace="/account")
    assert await refusal(ending) == "token_expired"
    assert await talk.history(talk.psychologist) == []

    assert await renew(device, talk.patient.token) == "ok"
    for namespace, event in (("/chat", "chat:list"), ("/account", "profile:get")):
        await device.ask(event, namespace=namespace)


async def test_only_the_same_sign_in_wakes_an_expired_socket(server: Instance, talk: Talk) -> None:
    device = await connect_until_expired(server, talk.patient, "/chat")
    elsewhere = await server.sign_in(talk.patient.email)
    stale = issue(server, talk.patient, seconds=-1)
    for token, code in (
        (talk.psychologist.token, "forbidden"),
        (elsewhere.token, "forbidden"),
        (stale, "token_expired"),
        (talk.patient.refresh_token, "unauthenticated"),
        ("", "unauthenticated"),
    ):
        assert await renew(device, token) == code
        assert await refusal(device.ask("chat:list")) == "token_expired"
    assert await renew(device, talk.patient.token) == "ok"
    assert (await device.ask("chat:list"))["total"] == 1


async def test_no_namespace_is_joined_with_a_token_that_ran_out(
    server: Instance, talk: Talk
) -> None:
    soon = issue(server, talk.patient, seconds=SOON)
    async with RawSocket.open(server.url) as socket:
        await socket.join("/chat", soon)
        await socket.wait_for("2/chat,", '["token:expired"')
        for token, code in ((soon, "token_expired"), (talk.psychologist.token, "forbidden")):
            await socket.send(connect_packet("/account", token))
            assert (await socket.wait_for("4/account,"))["message"] == code
        answer = await socket.ask("/chat", 1, "chat:list", "{}")
        assert answer["error"]["code"] == "token_expired"


async def test_a_refusal_does_not_put_the_end_off(
    server: Instance, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps asking, and showing tokens of others, is put out at the same time."""
    monkeypatch.setattr(dispatch, "GRACE", 1.0)
    soon = issue(server, talk.patient, seconds=SOON)
    codes: set[str] = set()
    async with RawSocket.open(server.url) as socket:
        await socket.join("/chat", soon)
        await socket.wait_for("2/chat,", '["token:expired"')
        with pytest.raises(Closed) as closed:
            await insist(socket, talk.psychologist.token, codes)
    assert closed.value.reason == "token_expired"
    assert codes == {"forbidden"}


async def test_a_person_who_is_blocked_meanwhile_is_put_out(server: Instance, talk: Talk) -> None:
    device = await connect_until_expired(server, talk.patient, "/chat")
    async with Context.open(server.runtime) as ctx:
        await people.change_status(ctx, talk.patient.email, Status.BLOCKED)
    assert await device.wait_until_left() == "server disconnect"
    with pytest.raises(Refused, match="unauthenticated"):
        await server.connect(talk.patient)


async def test_a_renewed_socket_lives_as_long_as_its_last_token(
    server: Instance, talk: Talk
) -> None:
    """A token that runs out sooner than the one before it takes that one's place."""
    device = await server.connect(talk.patient)
    assert await renew(device, issue(server, talk.patient, seconds=SOON)) == "ok"
    await device.wait_for("token:expired")
    assert await refusal(device.ask("chat:list")) == "token_expired"

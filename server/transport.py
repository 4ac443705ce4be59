"""Socket.IO: the namespaces on each connection, and the packets that go either way."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Protocol

from aiohttp import web
from engineio.packet import MESSAGE
from socketio.packet import (
    BINARY_EVENT,
    CONNECT,
    DISCONNECT,
    EVENT,
)

from server import metrics
from server.auth import Identity, next_id
from server.context import Caller
from server.engine import Engine
from server.errors import Error, Unauthenticated, Unavailable
from server.frames import Frame
from server.gate import Gate
from server.log import get_logger
from server.packets import SocketPacket, has_header, is_event, read_event
from server.payload import iso
from server.runtime import Runtime
from server.wire import Wire

log = get_logger(__name__)

PATH = "socket.io"
MAX_ATTACHMENTS = 10
MAX_NAMESPACES = 20
SIGN_IN_WITHIN = 10.0
"""Seconds in which a connection must join a namespace."""

FINISH_TIMEOUT = 3.0
CALLER = web.RequestKey("caller", Caller)


@dataclass(slots=True)
class Ask:
    """An event from a client: everything after its name, and the id its answer must carry."""

    name: str
    args: list[Any]
    ack: int | None
    came_at: float = field(default_factory=monotonic)


class Door(Protocol):
    """Where packets go once they are understood; none of these waits."""

    def enter(self, client: "Client", auth: Any) -> None: ...

    def ask(self, client: "Client", ask: Ask) -> None: ...

    def leave(self, client: "Client") -> None: ...

    async def finish(self, client: "Client") -> None:
        """Wait until all that was asked is answered."""


class Client:
    """One namespace on one connection: what Socket.IO calls a socket."""

    __slots__ = ("connection", "namespace", "present", "sid", "turns")

    def __init__(self, connection: "Connection", namespace: str, turns: Any) -> None:
        self.connection = connection
        self.namespace = namespace
        self.sid = next_id()
        self.present = True
        self.turns = turns

    @property
    def wire(self) -> Wire:
        return self.connection.wire

    @property
    def user(self) -> Identity:
        if self.connection.identity is None:
            raise Unauthenticated
        return self.connection.identity

    def welcome(self) -> None:
        self.wire.post(_frame(CONNECT, self.namespace, f'{{"sid":"{self.sid}"}}'))

    def answer(self, ack: int | None, body: str) -> None:
        if ack is not None:
            self.wire.post(ack_frame(self.namespace, ack, body))

    def send(self, frame: Frame, *, may_be_dropped: bool = False) -> None:
        self.wire.post(frame, may_be_dropped=may_be_dropped)


class Connection:
    """One Engine.IO session, the person it belongs to and the namespaces they joined."""

    def __init__(
        self, wire: Wire, caller: Caller, door: Door, gate: Gate, new_turns: Callable[[], Any]
    ) -> None:
        self.wire = wire
        self.caller = caller
        self.is_leaving = False
        self.identity: Identity | None = None
        self.token = ""
        self.expired = False
        self.clients: dict[str, Client] = {}
        self.timer: asyncio.TimerHandle | None = None
        self.sign_in_by: float | None = None
        """Until when; None while somebody is doing it, which has an end of its own."""

        self._door = door
        self._gate = gate
        self._pace = gate.new_pace()
        self._new_turns = new_turns
        self._partial: SocketPacket | None = None
        gate.enter(caller.address)
        self.expect_sign_in()

    def expect_sign_in(self) -> None:
        self.sign_in_by = monotonic() + SIGN_IN_WITHIN

    def limit_to(self, seconds: float, then: Callable[[], None]) -> None:
        """Run `then` after some seconds, unless another limit takes this one's place."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(seconds, then)

    def belong_to(self, identity: Identity) -> None:
        """Raises: RateLimited, when the person has too many connections; Unauthenticated."""
        if self.wire.closing:
            # It was counted out as nobody's.
            raise Unauthenticated
        if self.identity is None:
            self._pace = self._gate.recognize(self.caller.address, identity.id, self._pace)
        self.identity = identity

    def refuse(self, reason: str) -> None:
        self.wire.refuse(reason)

    async def send_away(self) -> None:
        """Answer what was asked; what comes after that is the next instance's to answer."""
        self.is_leaving = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_TIMEOUT):
                for client in list(self.clients.values()):
                    await self._door.finish(client)
        self.refuse("draining")

    def kick(self, reason: str) -> None:
        """Put everybody out; official clients do not come back by themselves after this."""
        for client in self.clients.values():
            client.send(_frame(DISCONNECT, client.namespace, ""))
        self.refuse(reason)

    def receive(self, data: str | bytes) -> None:
        if self.is_leaving:
            return
        if not self._pace.is_kept():
            self.refuse("too_fast")
            return
        if self._partial is None and (event := read_event(data)) is not None:
            namespace, (name, *args), ack = event
            self._ask(namespace, Ask(name, args, ack))
            return
        try:
            packet = self._assemble(data)
        except (ValueError, TypeError, IndexError, KeyError):
            self.refuse("malformed_packet")
            return
        if packet is not None:
            self._route(packet)

    def drop(self, client: Client) -> None:
        """Forget a client that left or was refused."""
        client.present = False
        if self.clients.get(client.namespace) is client:
            del self.clients[client.namespace]

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self._gate.leave(self.caller.address, self.identity.id if self.identity else None)
        for client in list(self.clients.values()):
            self.drop(client)
            self._door.leave(client)

    def _assemble(self, data: str | bytes) -> SocketPacket | None:
        if self._partial is not None:
            if isinstance(data, str):
                raise ValueError("an attachment must be binary")
            whole, packet = self._partial.add_attachment(data), self._partial
            if not whole:
                return None
            self._partial = None
            return packet
        if isinstance(data, bytes):
            raise ValueError("an attachment of nothing")
        if not has_header(data):
            raise ValueError("no packet of a client")
        packet = SocketPacket(encoded_packet=data)
        if packet.attachment_count > MAX_ATTACHMENTS:
            raise ValueError("too many attachments")
        if packet.attachment_count > 0:
            if packet.packet_type != BINARY_EVENT or not is_event(packet.data):
                raise ValueError("attachments to nothing")
            self._partial = packet
            return None
        return packet

    def _route(self, packet: SocketPacket) -> None:
        namespace = packet.namespace or "/"
        client = self.clients.get(namespace)
        if packet.packet_type == CONNECT:
            if client is not None:
                self.refuse("already_connected")
                return
            if len(self.clients) == MAX_NAMESPACES:
                self.refuse("too_many_namespaces")
                return
            client = Client(self, namespace, self._new_turns())
            self.clients[namespace] = client
            self._door.enter(client, packet.data)
        elif packet.packet_type == DISCONNECT:
            if client is not None:
                self.drop(client)
                self._door.leave(client)
        elif packet.packet_type in (EVENT, BINARY_EVENT) and is_event(packet.data):
            self._ask(namespace, Ask(packet.data[0], packet.data[1:], packet.id))
        else:
            self.refuse("malformed_packet")

    def _ask(self, namespace: str, ask: Ask) -> None:
        client = self.clients.get(namespace)
        if client is not None:
            self._door.ask(client, ask)
        elif ask.ack is not None:
            body = f'{{"error":{Unauthenticated().json(self.caller.locale)}}}'
            self.wire.post(ack_frame(namespace, ask.ack, body))
        else:
            self.refuse("unauthenticated")


class Transport:
    """Every connection of this instance."""

    def __init__(
        self,
        runtime: Runtime,
        door: Door,
        new_turns: Callable[[], Any],
        read_caller: Callable[[web.Request], Caller],
    ) -> None:
        settings = runtime.settings
        self.is_draining = False
        self.engine = Engine(settings.cors_origins, runtime.bus, self)
        self._gate = Gate(settings.rate_limit_scale, runtime.limits)
        self._connections: dict[str, Connection] = {}
        self._strangers: list[Connection] = []
        self._next_check: asyncio.TimerHandle | None = None
        self._door = door
        self._new_turns = new_turns
        self._read_caller = read_caller

    def attach(self, app: web.Application) -> None:
        self.engine.attach(app, PATH)

    def refuse_all(self, reason: str) -> None:
        """Close every connection so that clients come back with their positions."""
        for connection in list(self._connections.values()):
            connection.refuse(reason)

    def find(self, session_ids: set[int]) -> list[Connection]:
        return [
            connection
            for connection in self._connections.values()
            if connection.identity is not None and connection.identity.session_id in session_ids
        ]

    def count(self) -> None:
        upgraded = sum(connection.wire.upgraded for connection in self._connections.values())
        metrics.connections.labels("websocket").set(upgraded)
        metrics.connections.labels("polling").set(len(self._connections) - upgraded)

    async def drain(self, seconds: float) -> None:
        """Take no new clients, and send those that are here elsewhere, a few at a time."""
        self.is_draining = True
        connections = list(self._connections.values())

        async def send_away(number: int, connection: Connection) -> None:
            await asyncio.sleep(seconds * number / len(connections))
            await connection.send_away()

        await asyncio.gather(*(send_away(*each) for each in enumerate(connections)))

    async def stop(self) -> None:
        await self.engine.stop()

    async def let_in(self, request: web.Request) -> Error | None:
        if self.is_draining:
            return Unavailable(retry_after=1)
        try:
            request[CALLER] = caller = self._read_caller(request)
            await self._gate.knock(caller.address)
        except Error as error:
            return error
        return None

    def opened(self, wire: Wire, request: web.Request) -> None:
        self._connections[wire.sid] = connection = Connection(
            wire, request[CALLER], self._door, self._gate, self._new_turns
        )
        self._strangers.append(connection)
        self._watch_strangers()

    def _watch_strangers(self) -> None:
        """One timer for all: each connection has too many of its own."""
        if self._next_check is None:
            loop = asyncio.get_running_loop()
            self._next_check = loop.call_later(SIGN_IN_WITHIN / 10, self._check_strangers)

    def _check_strangers(self) -> None:
        self._next_check = None
        now = monotonic()
        self._strangers = [
            one for one in self._strangers if one.identity is None and not one.wire.closing
        ]
        for one in self._strangers:
            if one.sign_in_by is not None and one.sign_in_by <= now:
                one.refuse("unauthenticated")
        if self._strangers:
            self._watch_strangers()

    def receive(self, sid: str, data: str | bytes) -> None:
        connection = self._connections.get(sid)
        if connection is not None:
            try:
                connection.receive(data)
            except Exception:
                log.exception("transport.packet_failed")
                connection.refuse("internal")

    def closed(self, sid: str) -> None:
        connection = self._connections.pop(sid, None)
        if connection is not None:
            connection.close()


def event_frame(
    namespace: str, event: str, data: str, *, at: datetime, seq: int | None = None
) -> Frame:
    """An event with its `meta`, encoded once for however many sockets hear it."""
    meta = f'{{"at":"{iso(at)}"}}' if seq is None else f'{{"seq":{seq},"at":"{iso(at)}"}}'
    return _frame(EVENT, namespace, f'["{event}",{data},{meta}]')


def ack_frame(namespace: str, ack: int, body: str) -> Frame:
    place = "" if namespace == "/" else f"{namespace},"
    return Frame(f"{MESSAGE}3{place}{ack}[{body}]")


def refusal_frame(namespace: str, error: Error, locale: str) -> Frame:
    """A refused connect: official clients give `message` and `data` to `connect_error`."""
    return _frame(4, namespace, f'{{"message":"{error.code}","data":{error.json(locale)}}}')


def _frame(kind: int, namespace: str, body: str) -> Frame:
    place = "" if namespace == "/" else f"{namespace},"
    return Frame(f"{MESSAGE}{kind}{place}{body}")

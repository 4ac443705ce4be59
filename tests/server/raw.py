"""Engine.IO and Socket.IO by hand: every packet as it stands on the wire."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType
from aiohttp.client_ws import ClientWSTimeout
from yarl import URL

PATIENCE = 10.0


class Closed(Exception):
    """The server closed the connection: with this code, for this reason."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class RawSocket:
    """One websocket. What comes while one waits for something else is kept in `seen`."""

    def __init__(self, websocket: ClientWebSocketResponse) -> None:
        self._websocket = websocket
        self.seen: list[str] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, small_window: bool = False) -> AsyncIterator["RawSocket"]:
        connector = TCPConnector(socket_factory=_small_window) if small_window else None
        async with (
            ClientSession(connector=connector) as session,
            session.ws_connect(
                f"{url}/socket.io/?EIO=4&transport=websocket",
                max_msg_size=0,
                timeout=ClientWSTimeout(ws_close=0.1),
            ) as websocket,
        ):
            opened = cls(websocket)
            opened.opening = json.loads((await websocket.receive_str())[1:])
            yield opened

    opening: dict[str, Any]

    async def send(self, packet: str | bytes) -> None:
        """One Engine.IO packet, whatever it holds."""
        if isinstance(packet, bytes):
            await self._websocket.send_bytes(packet)
        else:
            await self._websocket.send_str(packet)

    async def receive(self) -> str:
        """The next Socket.IO packet. Raises: Closed."""
        while True:
            message = await asyncio.wait_for(self._websocket.receive(), PATIENCE)
            if message.type is WSMsgType.TEXT:
                if message.data == "2":
                    await self._websocket.send_str("3")
                elif message.data[0] == "4":
                    return str(message.data[1:])
            elif message.type is WSMsgType.CLOSE:
                raise Closed(message.data, message.extra or "")
            else:
                raise Closed(self._websocket.close_code, "")

    async def wait_for(self, start: str, body: str = "") -> Any:
        """The JSON of the first packet that starts like this, come already or to come."""
        for packet in self.seen:
            if packet.startswith(start + body):
                self.seen.remove(packet)
                return json.loads(packet[len(start) :])
        while not (packet := await self.receive()).startswith(start + body):
            self.seen.append(packet)
        return json.loads(packet[len(start) :])

    async def join(self, namespace: str, token: str | None, **auth: Any) -> None:
        await self.send(connect_packet(namespace, token, **auth))
        await self.wait_for(f"0{namespace},")

    async def answer(self, namespace: str, ack: int) -> dict[str, Any]:
        """What the event with this id was answered."""
        answered = (await self.wait_for(f"3{namespace},{ack}", "["))[0]
        assert isinstance(answered, dict)
        return answered

    async def ask(self, namespace: str, ack: int, event: str, *raw: str) -> dict[str, Any]:
        """Send an event with these pieces of JSON, and wait for its answer."""
        await self.send(event_packet(namespace, event, *raw, ack=ack))
        return await self.answer(namespace, ack)

    async def wait_closed(self) -> Closed:
        """Whatever still comes, until the server closes."""
        while True:
            try:
                self.seen.append(await self.receive())
            except Closed as closed:
                return closed


class RawPolling:
    """One polling session, request by request."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self.address = f"{url}/socket.io/?EIO=4&transport=polling"
        self._left: list[str] = []

    async def __aenter__(self) -> Self:
        _, body = await self.get()
        sid = json.loads(body[1:])["sid"]
        self.address += f"&sid={sid}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.post("1")
        await self.get()

    async def get(self) -> tuple[int, str]:
        async with self._session.get(self.address) as response:
            return response.status, await response.text()

    async def post(self, *packets: str) -> tuple[int, Any]:
        """The status, and the error if there is one."""
        body = "\x1e".join(packets).encode()
        async with self._session.post(self.address, data=body) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else await response.text()

    async def receive(self) -> str:
        """The next Socket.IO packet; polls as often as it takes."""
        while True:
            while self._left:
                packet = self._left.pop(0)
                if packet == "2":
                    await self.post("3")
                elif packet.startswith("4"):
                    return packet[1:]
                elif packet == "1":
                    raise Closed(None, "")
            status, body = await asyncio.wait_for(self.get(), PATIENCE)
            if status != 200:
                raise Closed(status, body)
            self._left = body.split("\x1e")

    async def wait_for(self, start: str) -> Any:
        while not (packet := await self.receive()).startswith(start):
            pass
        return json.loads(packet[len(start) :])

    async def join(self, namespace: str, token: str, **auth: Any) -> None:
        await self.post(connect_packet(namespace, token, **auth))
        await self.wait_for(f"0{namespace},")


def connect_packet(namespace: str, token: str | None, **auth: Any) -> str:
    if token is not None:
        auth["token"] = token
    return f"40{namespace},{json.dumps(auth)}" if auth else f"40{namespace},"


def event_packet(namespace: str, event: str, *raw: str, ack: int | None = None) -> str:
    body = ",".join([json.dumps(event), *raw])
    return f"42{namespace},{'' if ack is None else ack}[{body}]"


def _small_window(address: Any) -> socket.socket:
    """A socket that takes little before the sender must wait."""
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return opened


def upgrade_and_vanish(address: str) -> None:
    """Ask for a websocket, and reset the connection at once."""
    url = URL(address)
    head = (
        f"GET {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port)) as vanishing:
        vanishing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        vanishing.sendall(head.encode())

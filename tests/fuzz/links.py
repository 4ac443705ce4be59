"""A connection that sends whatever it is told, in either transport, and hears what comes back."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from aiohttp import ClientSession, WSMsgType

from tests.fuzz.oracle import BrokenText, Frame, Session, Verdict
from tests.server.raw import Closed, RawPolling, RawSocket

TOO_BIG, NOT_UTF8 = 1009, 1007
_BY_CODE = {TOO_BIG: "too_large", NOT_UTF8: "not_utf8"}


class Link(Protocol):
    """One Engine.IO session of a fuzzer."""

    session: Session

    def judge(self, frames: Sequence[Frame]) -> Verdict: ...

    async def send(self, frames: Sequence[Frame]) -> None:
        """Raises: Closed, where the transport learns of it by sending."""

    async def receive(self) -> str:
        """The next Socket.IO packet. Raises: Closed, with one of the wire's reasons."""


class SocketLink:
    def __init__(self, socket: RawSocket) -> None:
        self.session = Session()
        self._socket = socket

    def judge(self, frames: Sequence[Frame]) -> Verdict:
        return self.session.judge(frames)

    async def send(self, frames: Sequence[Frame]) -> None:
        # That it is closed already is heard by receiving.
        with suppress(ConnectionError):
            for frame in frames:
                if isinstance(frame, BrokenText):
                    await self._socket._websocket.send_frame(frame.data, WSMsgType.TEXT)
                else:
                    await self._socket.send(frame)

    async def receive(self) -> str:
        try:
            return await self._socket.receive()
        except Closed as closed:
            raise Closed(closed.code, _BY_CODE.get(closed.code or 0, closed.reason)) from None


class PollingLink:
    def __init__(self, polling: RawPolling) -> None:
        self.session = Session()
        self._polling = polling

    def judge(self, frames: Sequence[Frame]) -> Verdict:
        return self.session.judge_body(write_body(frames))

    async def send(self, frames: Sequence[Frame]) -> None:
        http, address = self._polling._session, self._polling.address
        async with http.post(address, data=write_body(frames)) as response:
            text = await response.text()
            if response.status != 200:
                raise Closed(response.status, _read_reason(text))

    async def receive(self) -> str:
        try:
            return await self._polling.receive()
        except Closed as closed:
            raise Closed(closed.code, _read_reason(closed.reason)) from None


def write_body(frames: Sequence[Frame]) -> bytes:
    return b"\x1e".join(map(_write_piece, frames))


def _write_piece(frame: Frame) -> bytes:
    if isinstance(frame, BrokenText):
        return frame.data
    return frame.encode() if isinstance(frame, str) else b"b" + base64.b64encode(frame)


def _read_reason(text: str) -> str:
    """Out of an error's body; what the library itself refuses has none."""
    try:
        fields: list[dict[str, Any]] = json.loads(text)["error"]["fields"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(fields[0]["code"])


@asynccontextmanager
async def open_socket(url: str) -> AsyncIterator[Link]:
    async with RawSocket.open(url) as socket:
        yield SocketLink(socket)


@asynccontextmanager
async def open_polling(url: str) -> AsyncIterator[Link]:
    async with ClientSession() as http, RawPolling(http, url) as polling:
        yield PollingLink(polling)

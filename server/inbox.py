"""What a websocket brings in, taken as it is read: no task is woken for a message.

Private names of aiohttp are used: where it makes the queue for what it has read, and the messages
that wait in that. `tests/server/test_engine.py` fails when they move.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from server.frames import Frame

AT_ONCE = 32
"""Packets of one client that are taken before others have their turn, in either transport."""

MAX_PACKET = 1_000_000
"""Characters in one packet, or in the body of one polling POST."""

CLOSE_TIMEOUT = 2
BUFFER = 65_536
"""Bytes that may wait before the client is not read from; twice as many, by aiohttp's count."""

Take = Callable[[str | bytes], bool]


class Inbox(WebSocketDataQueue):
    """Hands over messages as they come; what is more than that, or too many, waits for `receive`."""

    take: Take | None = None
    """Gets each message, and says whether more are wanted; the one after which none is waits."""

    _taken = 0

    def begin(self) -> None:
        """Something has been read."""
        self._taken = 0

    def feed_data(self, message: Any, size: int) -> None:
        if (
            self.take is not None
            and not self._buffer
            and self._taken < AT_ONCE
            and message.type in (WSMsgType.TEXT, WSMsgType.BINARY)
        ):
            self._taken += 1
            if self.take(message.data):
                return
            self.take = None
        super().feed_data(message, size)


async def open_socket(request: web.Request, first: Frame | None = None) -> "Socket | None":
    """Answer a handshake, and send `first` with the answer; None when the client has gone already.

    Raises: HTTPBadRequest.
    """
    socket = Socket(max_msg_size=MAX_PACKET, compress=False, timeout=CLOSE_TIMEOUT)
    try:
        writer = await socket.prepare(request)
        if first is None:
            writer.send_headers()
        else:
            await writer.write(first.wrap())
    except ConnectionError:
        return None
    return socket


class Socket(web.WebSocketResponse):
    """A websocket with such an inbox; nothing is compressed."""

    inbox: Inbox
    _send_headers_immediately = False

    async def _prepare_headers(self) -> None:
        """The handshake has put in all that there must be."""

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        """As aiohttp's, without its heartbeat: Engine.IO has its own."""
        self._ws_protocol, self._writer = protocol, writer
        loop = asyncio.get_running_loop()
        self._reader = self.inbox = Inbox(request.protocol, BUFFER, loop=loop)
        self._parser = WebSocketReader(
            self.inbox, self._max_msg_size, compress=False, decode_text=True
        )
        request.protocol.set_parser(self._parser, data_received_cb=self.inbox.begin)
        request.protocol.keep_alive(False)

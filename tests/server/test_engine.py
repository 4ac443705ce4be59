"""The private seams of the libraries that `server/engine.py` and `transport.py` stand on."""

import asyncio
import inspect
from importlib.metadata import version
from pathlib import Path

import engineio
import pytest
import socketio
from aiohttp import web
from aiohttp._websocket.reader import WebSocketReader
from aiohttp._websocket.writer import WebSocketWriter
from aiohttp.base_protocol import BaseProtocol
from aiohttp.web_protocol import RequestHandler
from engineio import packet as engine_packet
from engineio.async_drivers.aiohttp import create_route, translate_request
from engineio.async_socket import AsyncSocket
from engineio.base_server import BaseServer
from socketio import packet as socket_packet

from server.inbox import AT_ONCE, BUFFER, Inbox

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("package", "pin"), [("python-engineio", "4.15"), ("python-socketio", "5.18")]
)
def test_the_libraries_are_pinned_to_the_versions_read(package: str, pin: str) -> None:
    assert version(package).startswith(f"{pin}.")
    minor = int(pin.rpartition(".")[2])
    wanted = f"{package}>={pin},<{pin.partition('.')[0]}.{minor + 1}"
    assert f'"{wanted}"' in (ROOT / "pyproject.toml").read_text()
    assert f"{package}=={version(package)}" in (ROOT / "requirements.txt").read_text()


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (AsyncSocket.__init__, "(self, server, sid)"),
        (AsyncSocket.poll, "(self)"),
        (AsyncSocket.close, "(self, wait=True, abort=False, reason=None)"),
        (AsyncSocket.send, "(self, pkt)"),
        (AsyncSocket.check_ping_timeout, "(self)"),
        (AsyncSocket.schedule_ping, "(self)"),
        (AsyncSocket.handle_get_request, "(self, environ)"),
        (AsyncSocket.handle_post_request, "(self, environ)"),
        (AsyncSocket._upgrade_websocket, "(self, environ)"),
        (engineio.AsyncServer.handle_request, "(self, *args, **kwargs)"),
        (engineio.AsyncServer._handle_connect, "(self, environ, transport, jsonp_index=None)"),
        (engineio.AsyncServer._service_task, "(self)"),
        (engineio.AsyncServer.create_queue, "(self, *args, **kwargs)"),
        (engineio.AsyncServer.start_background_task, "(self, target, *args, **kwargs)"),
        (engineio.AsyncServer.shutdown, "(self)"),
        (BaseServer._upgrades, "(self, sid, transport)"),
        (BaseServer._ok, "(self, packets=None, headers=None, jsonp_index=None)"),
        (BaseServer._bad_request, "(self, message=None)"),
        (BaseServer.generate_id, "(self)"),
        (translate_request, "(request)"),
        (create_route, "(app, engineio_server, engineio_endpoint)"),
        (socket_packet.Packet.decode, "(self, encoded_packet)"),
        (socket_packet.Packet.add_attachment, "(self, attachment)"),
        (socket_packet.Packet.reconstruct_binary, "(data, attachments)"),
    ],
)
def test_a_seam_has_the_shape_that_was_read(function: object, signature: str) -> None:
    assert callable(function)
    assert str(inspect.signature(function)) == signature


def test_what_is_replaced_is_still_what_the_library_calls() -> None:
    connect = inspect.getsource(engineio.AsyncServer.handle_request)
    for call in (
        "self._handle_connect(environ, transport,",
        "socket.handle_get_request(",
        "socket.handle_post_request(environ)",
    ):
        assert call in connect
    assert "'_upgrade_' + transport" in inspect.getsource(AsyncSocket.handle_get_request)
    assert "self.server.create_queue()" in inspect.getsource(AsyncSocket.__mro__[1])
    assert "self.close(" in inspect.getsource(AsyncSocket.check_ping_timeout)
    assert "self.json.loads(" in inspect.getsource(socket_packet.Packet.decode)
    assert "self.reconstruct_binary(" in inspect.getsource(socket_packet.Packet.add_attachment)


def test_a_session_has_the_state_that_is_read_and_written() -> None:
    fresh = AsyncSocket(engineio.AsyncServer(async_mode="aiohttp"), "sid")
    for name in ("connected", "upgrading", "upgraded", "closing", "closed"):
        assert getattr(fresh, name) is False
    assert fresh.last_ping
    server = engineio.AsyncServer(async_mode="aiohttp")
    assert server.sockets == {}
    assert server.start_service_task is True
    for reason in (
        "CLIENT_DISCONNECT",
        "TRANSPORT_CLOSE",
        "TRANSPORT_ERROR",
        "SERVER_DISCONNECT",
        "PING_TIMEOUT",
    ):
        assert getattr(server.reason, reason)


def test_a_protocol_of_aiohttp_can_be_waited_for() -> None:
    assert str(inspect.signature(BaseProtocol._drain_helper)) == "(self) -> None"
    assert inspect.iscoroutinefunction(BaseProtocol._drain_helper)
    assert isinstance(BaseProtocol.writing_paused, property)
    assert "self.transport.write(" in inspect.getsource(WebSocketWriter._write_websocket_frame)
    assert issubclass(RequestHandler, BaseProtocol)


def test_a_websocket_is_started_as_it_was_read() -> None:
    source = inspect.getsource(web.WebSocketResponse._post_start)
    for line in (
        "self._ws_protocol = protocol",
        "self._writer = writer",
        "self._reader = WebSocketDataQueue(",
        "self._parser = WebSocketReader(",
        "request.protocol.set_parser(self._parser, data_received_cb=cb)",
        "request.protocol.keep_alive(False)",
    ):
        assert line in source
    assert source.count("self._") == 13
    assert list(inspect.signature(RequestHandler.set_parser).parameters)[1:] == [
        "parser",
        "data_received_cb",
    ]


async def test_an_inbox_hands_over_what_aiohttp_reads_in_order() -> None:
    loop = asyncio.get_running_loop()
    inbox = Inbox(BaseProtocol(loop), BUFFER, loop=loop)
    reader = WebSocketReader(inbox, 100, compress=False, decode_text=True)
    taken: list[str | bytes] = []

    def take(data: str | bytes) -> bool:
        taken.append(data)
        return data != "last"

    inbox.take = take
    inbox.begin()
    reader.feed_data(b"\x81\x01a\x82\x01b\x89\x00\x81\x01c")
    assert taken == ["a", b"b"]
    # A ping is not for it, and what comes behind that waits as well.
    assert [(await inbox.read()).data for _ in range(2)] == [b"", "c"]
    reader.feed_data(b"\x81\x01d" * AT_ONCE)
    assert taken[2:] == ["d"] * (AT_ONCE - 2)
    assert [(await inbox.read()).data for _ in range(2)] == ["d", "d"]
    inbox.begin()
    reader.feed_data(b"\x81\x04last\x81\x01e")
    assert taken[-1] == "last"
    # Whoever reads on finds out why no more is wanted.
    assert [(await inbox.read()).data for _ in range(2)] == ["last", "e"]


def test_the_packet_types_are_the_protocols() -> None:
    engine = ("OPEN", "CLOSE", "PING", "PONG", "MESSAGE", "UPGRADE", "NOOP")
    assert [getattr(engine_packet, name) for name in engine] == list(range(7))
    socket = ("CONNECT", "DISCONNECT", "EVENT", "ACK", "CONNECT_ERROR", "BINARY_EVENT")
    assert [getattr(socket_packet, name) for name in socket] == list(range(6))
    assert socketio.packet.Packet(encoded_packet="51-/a,7[1]").attachment_count == 1

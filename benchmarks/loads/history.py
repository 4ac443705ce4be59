"""The last page of a chat, asked for again and again: of a short one, and of a long one."""

import asyncio
import itertools
import time
from typing import Any

import orjson

from benchmarks.link import Link
from benchmarks.loads.chat import find_percentiles
from benchmarks.loads.marks import BEGIN, END, mark

NAMESPACE = "/chat"
TIMES = 300
PAGE = 50


class Reader:
    def __init__(self, port: int) -> None:
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._acks = itertools.count()
        self._joined = asyncio.Event()
        self._link = Link(port, self._hear)

    async def open(self, token: str) -> None:
        await self._link.open({NAMESPACE: {"token": token}})
        await self._joined.wait()

    async def ask(self, event: str, request: dict[str, Any]) -> Any:
        ack = next(self._acks)
        answer = self._answers[ack] = asyncio.get_running_loop().create_future()
        self._link.send(f"2{NAMESPACE},{ack}".encode() + orjson.dumps([event, request]))
        return await answer

    def close(self) -> None:
        self._link.close()

    def _hear(self, packet: bytes) -> None:
        if packet.startswith(f"3{NAMESPACE},".encode()):
            head, _, _ = packet.partition(b"[")
            answer = orjson.loads(packet[len(head) :])[0]
            self._answers.pop(int(head.rpartition(b",")[2])).set_result(answer["data"])
        elif packet.startswith(f"0{NAMESPACE},".encode()):
            self._joined.set()


async def run(given: dict[str, Any]) -> dict[str, Any]:
    (port,) = given["ports"]
    short, long = given["couples"]
    times: dict[int, list[float]] = {}
    mark(BEGIN)
    for couple in (short, long):
        reader = Reader(port)
        await reader.open(couple["tokens"][0])
        mine = times[couple["chat_id"]] = []
        for _ in range(TIMES):
            start = time.perf_counter()
            page = await reader.ask(
                "message:history", {"chat_id": couple["chat_id"], "limit": PAGE}
            )
            mine.append(time.perf_counter() - start)
            if len(page["items"]) != PAGE:
                raise ValueError("a page is short")
        reader.close()
    mark(END)
    return {
        "short_ms": find_percentiles(times[short["chat_id"]]),
        "long_ms": find_percentiles(times[long["chat_id"]]),
    }

"""The durable chat: pairs of people who write to each other."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson

from benchmarks.link import Hear, Link
from benchmarks.loads.marks import BEGIN, END, mark
from benchmarks.polling import Poller

NAMESPACE = "/chat"
LENGTH = 100
"""Characters of a message."""

WARM_UP = 1.0
LONG_WARM_UP = 4.0
"""Seconds in which a server that was slow at first, as Node's is, gets rid of what waits since."""

TICK = 0.001
"""Seconds that are slept at least; shorter ones the loop would spend turning, on a core that others need."""

PATIENCE = 20.0

_ACK = f"3{NAMESPACE},".encode()
_JOINED = f"0{NAMESPACE},".encode()
_REFUSED = f"4{NAMESPACE},".encode()
_CREATED = f'2{NAMESPACE},["message:created",'.encode()
_EVENT_AT = len(f"2{NAMESPACE},")

Connect = Callable[[int, Hear], Link | Poller]
CONNECTS: dict[str, Connect] = {"websocket": Link, "polling": Poller}


class Load:
    """What was sent, acknowledged and heard by all pairs together."""

    def __init__(self) -> None:
        self.sent_at: list[float] = []
        self.acknowledged: dict[int, int] = {}
        """The seq by the message's number."""

        self.ack_times: list[float] = []
        self.delivery_times: list[float] = []
        self.errors = self.duplicated = self.misordered = 0
        self.heard = [0, 0]
        """Messages that reached their writer's own socket, and the other's."""

        self.counts = False
        self._refs = f"{random.getrandbits(32):08x}-0000-4000-8000-"

    def begin(self, at: float, padding: str) -> tuple[int, str, str]:
        """One more message: its number, ref and text."""
        number = len(self.sent_at)
        self.sent_at.append(at)
        return number, f"{self._refs}{number:012x}", f"{number} {padding}"


class Speaker:
    """One person of a pair, at one socket."""

    def __init__(
        self,
        load: Load,
        chat_id: int,
        user_id: int,
        pair: "Pair",
        connect: Callable[[Hear], Link | Poller],
    ) -> None:
        self._load = load
        self._chat_id = chat_id
        self._user_id = user_id
        self._pair = pair
        self._link = connect(self._hear)
        self._padding = "x" * LENGTH
        self._last_seq = 0
        self._heard: set[int] = set()
        self._asked: dict[int, int] = {}
        self._acks = itertools.count()
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self, token: str) -> None:
        await self._link.open({NAMESPACE: {"token": token}})
        await asyncio.wait_for(self.joined, PATIENCE)

    def send(self, at: float) -> None:
        number, ref, text = self._load.begin(at, self._padding)
        ack = next(self._acks)
        self._asked[ack] = number
        request = {"chat_id": self._chat_id, "client_ref": ref, "text": text}
        event = orjson.dumps(["message:send", request])
        self._link.send(f"2{NAMESPACE},{ack}".encode() + event)

    def close(self) -> None:
        self._link.close()

    def _hear(self, packet: bytes) -> None:
        if packet.startswith(_CREATED):
            self._note(orjson.loads(packet[_EVENT_AT:])[1])
        elif packet.startswith(_ACK):
            head, _, _ = packet.partition(b"[")
            answer = orjson.loads(packet[len(head) :])[0]
            self._settle(self._asked.pop(int(head[len(_ACK) :])), answer)
        elif packet.startswith(_JOINED):
            self.joined.set_result(None)
        elif packet.startswith(_REFUSED):
            self.joined.set_exception(ConnectionError(packet.decode()))

    def _note(self, message: dict[str, Any]) -> None:
        load, seq = self._load, message["seq"]
        number = int(message["text"].partition(" ")[0])
        load.duplicated += number in self._heard
        self._heard.add(number)
        load.misordered += seq != self._last_seq + 1 and self._last_seq != 0
        self._last_seq = seq
        is_others = message["sender_id"] != self._user_id
        load.heard[is_others] += 1
        if is_others and load.counts:
            load.delivery_times.append(time.perf_counter() - load.sent_at[number])

    def _settle(self, number: int, answer: dict[str, Any]) -> None:
        load, now = self._load, time.perf_counter()
        if "error" in answer:
            load.errors += 1
        else:
            load.acknowledged[number] = answer["data"]["seq"]
            if load.counts:
                load.ack_times.append(now - load.sent_at[number])
        self._pair.go_on(now)


class Pair:
    """Two people who write in turns; in the closed loop as soon as the last one was acknowledged."""

    def __init__(
        self, load: Load, given: dict[str, Any], ports: Sequence[int], connect: Connect
    ) -> None:
        self.is_looping = False
        self._given = given
        self._speakers = [
            Speaker(load, given["chat_id"], user_id, self, partial(connect, port))
            for user_id, port in zip(given["user_ids"], (ports[0], ports[-1]), strict=True)
        ]
        self._turns = itertools.cycle(self._speakers)

    async def open(self) -> None:
        for speaker, token in zip(self._speakers, self._given["tokens"], strict=True):
            await speaker.open(token)

    def send(self, at: float) -> None:
        next(self._turns).send(at)

    def go_on(self, now: float) -> None:
        if self.is_looping:
            self.send(now)

    def close(self) -> None:
        for speaker in self._speakers:
            speaker.close()


async def run_closed(load: Load, pairs: Sequence[Pair], seconds: float) -> None:
    for pair in pairs:
        pair.is_looping = True
        pair.send(time.perf_counter())
    await asyncio.sleep(WARM_UP)
    count(load, going_on=True)
    await asyncio.sleep(seconds)
    count(load, going_on=False)
    for pair in pairs:
        pair.is_looping = False


async def run_fixed(load: Load, pairs: Sequence[Pair], seconds: float, rate: float) -> None:
    """Messages leave on time whatever became of the others, and wait from that time on."""
    start = time.perf_counter()
    turns = itertools.cycle(pairs)
    for number in range(round((LONG_WARM_UP + seconds) * rate)):
        due = start + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(max(wait, TICK))
        if not load.counts and due - start >= LONG_WARM_UP:
            count(load, going_on=True)
        next(turns).send(due)
    count(load, going_on=False)


def count(load: Load, *, going_on: bool) -> None:
    load.counts = going_on
    mark(BEGIN if going_on else END)


async def run(given: dict[str, Any]) -> dict[str, Any]:
    load = Load()
    connect = CONNECTS[given.get("transport", "websocket")]
    pairs = [Pair(load, pair, given["ports"], connect) for pair in given["couples"]]
    for pair in pairs:
        await pair.open()
    if rate := given.get("rate"):
        await run_fixed(load, pairs, given["seconds"], rate)
    else:
        await run_closed(load, pairs, given["seconds"])
    in_time = time.perf_counter() + PATIENCE
    while time.perf_counter() < in_time:
        settled = len(load.acknowledged) + load.errors == len(load.sent_at)
        if settled and min(load.heard) >= len(load.acknowledged):
            break
        await asyncio.sleep(0.05)
    for pair in pairs:
        pair.close()
    return {
        "acknowledged": len(load.ack_times),
        "all_acknowledged": len(load.acknowledged),
        "unanswered": len(load.sent_at) - len(load.acknowledged) - load.errors,
        "errors": load.errors,
        "lost": 2 * len(load.acknowledged) - sum(load.heard),
        "duplicated": load.duplicated,
        "misordered": load.misordered,
        "ack_ms": find_percentiles(load.ack_times),
        "delivery_ms": find_percentiles(load.delivery_times),
    }


def find_percentiles(times: list[float]) -> dict[str, float]:
    """Milliseconds at the 50th, 95th and 99th percentile."""
    ordered = sorted(times) or [0.0]
    return {
        f"p{percent}": 1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
        for percent in (50, 95, 99)
    }

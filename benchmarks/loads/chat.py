"""The durable chat: pairs of people who write to each other.

While it runs, what comes is only kept, with its time: what it says is read when all is over, for
that costs the core that the database needs.
"""

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
PADDING = b"x" * 100
"""What makes a message as long as messages are."""

WARM_UP = 1.0
LONG_WARM_UP = 4.0
"""Seconds in which a server that was slow at first, as Node's is, gets rid of what waits since."""

TICK = 0.001
"""Seconds that are slept at least; shorter ones the loop would spend turning, on a core that others need."""

PATIENCE = 20.0

PACKETS, LONG = 150_000, 450
"""How many are kept for which there is memory from the beginning, and how long they are."""

_ACK = f"3{NAMESPACE},".encode()
_JOINED = f"0{NAMESPACE},".encode()
_REFUSED = f"4{NAMESPACE},".encode()
_CREATED = f'2{NAMESPACE},["message:created",'.encode()
_EVENT_AT = len(f"2{NAMESPACE},")
_SEND = f"2{NAMESPACE},".encode() + (
    b'%d["message:send",{"chat_id":%d,"client_ref":"%b%012x","text":"%d %b"}]'
)

Connect = Callable[[int, Hear], Link | Poller]
CONNECTS: dict[str, Connect] = {"websocket": Link, "polling": Poller}


class Load:
    """What was sent by all pairs together, and how much of it was answered and heard."""

    def __init__(self) -> None:
        self.sent_at: list[float] = []
        """By the message's number."""

        self.answered = self.heard = 0
        self.began_at = self.ended_at = float("inf")
        self._room = make_room()
        self.refs = b"%08x-0000-4000-8000-" % random.getrandbits(32)


def make_room() -> list[bytes]:
    """Let the process have memory that it did not give back, though few of these hold on to it.

    To get a page when a packet comes would cost as much as half of reading the packet.
    """
    return [bytes(LONG) for _ in range(PACKETS)][::1000]


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
        self.user_id = user_id
        self._load = load
        self._chat_id = chat_id
        self._pair = pair
        self._link = connect(self._hear)
        self.asked: list[int] = []
        """The numbers of the messages that were sent, in the order of their acks."""

        self.answers: list[tuple[bytes, float]] = []
        self.pushes: list[tuple[bytes, float]] = []
        """Packets, and when they came."""

        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self, token: str) -> None:
        await self._link.open({NAMESPACE: {"token": token}})
        await asyncio.wait_for(self.joined, PATIENCE)

    def send(self, at: float) -> None:
        load, asked = self._load, self.asked
        number = len(load.sent_at)
        load.sent_at.append(at)
        ack = len(asked)
        asked.append(number)
        self._link.send(_SEND % (ack, self._chat_id, load.refs, number, number, PADDING))

    def close(self) -> None:
        self._link.close()

    def _hear(self, packet: bytes) -> None:
        now = time.perf_counter()
        if packet.startswith(_CREATED):
            self._load.heard += 1
            self.pushes.append((packet, now))
        elif packet.startswith(_ACK):
            self._load.answered += 1
            self.answers.append((packet, now))
            self._pair.go_on(now)
        elif packet.startswith(_JOINED):
            self.joined.set_result(None)
        elif packet.startswith(_REFUSED):
            self.joined.set_exception(ConnectionError(packet.decode()))


class Found:
    """What all that came says."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.acknowledged = self.errors = self.duplicated = self.misordered = 0
        self.heard = [0, 0]
        """Messages that reached their writer's own socket, and the other's."""

        self.ack_times: list[float] = []
        self.delivery_times: list[float] = []

    def read(self, speaker: Speaker) -> None:
        """Raises: KeyError, when a message was acknowledged twice."""
        unanswered = dict(enumerate(speaker.asked))
        for packet, at in speaker.answers:
            head, _, _ = packet.partition(b"[")
            (answer,) = orjson.loads(packet[len(head) :])
            self._settle(unanswered.pop(int(head[len(_ACK) :])), answer, at)
        seen: set[int] = set()
        last_seq = 0
        for packet, at in speaker.pushes:
            message = orjson.loads(packet[_EVENT_AT:])[1]
            number, seq = int(message["text"].partition(" ")[0]), message["seq"]
            self.duplicated += number in seen
            seen.add(number)
            self.misordered += seq != last_seq + 1 and last_seq != 0
            last_seq = seq
            is_others = message["sender_id"] != speaker.user_id
            self.heard[is_others] += 1
            if is_others and self._counts(at):
                self.delivery_times.append(at - self._load.sent_at[number])

    def _settle(self, number: int, answer: dict[str, Any], at: float) -> None:
        if "error" in answer:
            self.errors += 1
            return
        self.acknowledged += 1
        if self._counts(at):
            self.ack_times.append(at - self._load.sent_at[number])

    def _counts(self, at: float) -> bool:
        return self._load.began_at <= at < self._load.ended_at


class Pair:
    """Two people who write in turns; in the closed loop as soon as the last one was acknowledged."""

    def __init__(
        self, load: Load, given: dict[str, Any], ports: Sequence[int], connect: Connect
    ) -> None:
        self.is_looping = False
        self._given = given
        self.speakers = [
            Speaker(load, given["chat_id"], user_id, self, partial(connect, port))
            for user_id, port in zip(given["user_ids"], (ports[0], ports[-1]), strict=True)
        ]
        self._turns = itertools.cycle(self.speakers)

    async def open(self) -> None:
        for speaker, token in zip(self.speakers, self._given["tokens"], strict=True):
            await speaker.open(token)

    def send(self, at: float) -> None:
        next(self._turns).send(at)

    def go_on(self, now: float) -> None:
        if self.is_looping:
            self.send(now)

    def close(self) -> None:
        for speaker in self.speakers:
            speaker.close()


async def run_closed(load: Load, pairs: Sequence[Pair], seconds: float) -> None:
    for pair in pairs:
        pair.is_looping = True
        pair.send(time.perf_counter())
    await asyncio.sleep(WARM_UP)
    begin(load)
    await asyncio.sleep(seconds)
    end(load)
    for pair in pairs:
        pair.is_looping = False


async def run_fixed(load: Load, pairs: Sequence[Pair], seconds: float, rate: float) -> None:
    """Messages leave on time whatever became of the others, and wait from that time on."""
    start = time.perf_counter()
    turns = itertools.cycle(pairs)
    first = round(LONG_WARM_UP * rate)
    for number in range(first + round(seconds * rate)):
        due = start + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(max(wait, TICK))
        if number == first:
            begin(load)
        next(turns).send(due)
    end(load)


def begin(load: Load) -> None:
    """From now on what comes is counted."""
    load.began_at = time.perf_counter()
    mark(BEGIN)


def end(load: Load) -> None:
    load.ended_at = time.perf_counter()
    mark(END)


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
        sent = len(load.sent_at)
        if load.answered >= sent and load.heard >= 2 * sent:
            break
        await asyncio.sleep(0.05)
    for pair in pairs:
        pair.close()
    found = Found(load)
    for speaker in (one for pair in pairs for one in pair.speakers):
        found.read(speaker)
    return {
        "acknowledged": len(found.ack_times),
        "all_acknowledged": found.acknowledged,
        "unanswered": len(load.sent_at) - found.acknowledged - found.errors,
        "errors": found.errors,
        "lost": 2 * found.acknowledged - sum(found.heard),
        "duplicated": found.duplicated,
        "misordered": found.misordered,
        "ack_ms": find_percentiles(found.ack_times),
        "delivery_ms": find_percentiles(found.delivery_times),
    }


def find_percentiles(times: list[float]) -> dict[str, float]:
    """Milliseconds at the 50th, 95th and 99th percentile."""
    ordered = sorted(times) or [0.0]
    return {
        f"p{percent}": 1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
        for percent in (50, 95, 99)
    }

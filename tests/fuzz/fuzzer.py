"""Sends cases over connections and holds what comes back against the oracle's verdict."""

import itertools
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from server.errors import Error
from tests.fuzz.links import Link
from tests.fuzz.oracle import Answer, Fate, Frame, Verdict
from tests.fuzz.packets import Scene
from tests.fuzz.seeds import share
from tests.fuzz.setting import at_once
from tests.instance import Instance
from tests.server.raw import Closed, connect_packet

Make = Callable[[Random, Scene, tuple[str, ...]], list[Frame]]
Open = Callable[[str], AbstractAsyncContextManager[Link]]

BATCH = 16
"""Cases sent before their answers are waited for."""

BLOCK = 50
"""Cases that share their choice of namespaces, and at most a connection."""

NOBODYS = "/fence"
SHOWN = 2000
NEVER = frozenset({"internal", "unavailable"})
"""Codes that no request may bring about while everything works."""

_ANSWER = re.compile(r"3(?:(/[^,]*),)?([0-9]+)(\[.*)", re.DOTALL)
_OUTCOME = re.compile(r"([04])(?:(/[^,]*),)?(\{.*)", re.DOTALL)
_TOLD = re.compile(r"2(?:(/[^,]*),)?(\[.*)", re.DOTALL)


class Failure(AssertionError):
    """Something that must not be; says how it is brought about again."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent together. Its number and the seed make it, whatever came before."""

    number: int
    frames: list[Frame]

    def __str__(self) -> str:
        text = f"case {self.number}: {self.frames!a}"
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"


@dataclass(slots=True)
class Heard:
    answers: Counter[Answer] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)


class Fuzzer:
    """One client that sends the cases with these numbers, on as many connections as it takes."""

    def __init__(
        self,
        url: str,
        open_link: Open,
        make: Make,
        scene: Scene,
        seed: int,
        numbers: Sequence[int],
        *,
        namespaces: int,
        on_batch: Callable[[], None] = lambda: None,
    ) -> None:
        self.codes: Counter[str] = Counter()
        self.fates: Counter[Fate] = Counter()
        self._url, self._open, self._make = url, open_link, make
        self._scene, self._seed = scene, seed
        self._left = deque(numbers)
        self._namespaces = namespaces
        self._on_batch = on_batch
        self._fences = itertools.count(10**60)
        self._sent: list[Case] = []

    async def run(self) -> None:
        """Raises: Failure."""
        while self._left:
            async with self._open(self._url) as link:
                await self._use(link, self._left[0] // BLOCK)

    async def _use(self, link: Link, block: int) -> None:
        """One connection, for as long as it lasts."""
        self._sent = []
        places = self._choose_places(block)
        joins = [connect_packet(place, self._scene.token) for place in places]
        is_open = await self._send(link, self._expect(link, [*joins]), [*joins])
        pending = Verdict()
        while is_open and self._left and self._left[0] // BLOCK == block:
            number = self._left.popleft()
            case = Case(number, self._make(self._random(number), self._scene, places))
            before = frozenset(link.session.joined)
            verdict = self._expect(link, case.frames)
            self.fates[verdict.fate] += 1
            if verdict.is_plain and len(self._sent) < BATCH:
                self._sent.append(case)
                await self._send_plain(link, case, pending)
                pending.due += verdict.due
                continue
            is_open = await self._settle(link, pending, before)
            self._sent, pending = [case], Verdict()
            is_open = is_open and await self._send(link, verdict, case.frames)
            self._sent = []
        if is_open:
            await self._settle(link, pending, frozenset(link.session.joined))

    def _choose_places(self, block: int) -> tuple[str, ...]:
        choice = self._random(f"places {block}")
        return tuple(choice.sample(self._scene.namespaces, self._namespaces))

    def _random(self, what: object) -> Random:
        return Random(f"{self._seed} {what}")

    def _expect(self, link: Link, frames: Sequence[Frame]) -> Verdict:
        verdict = link.judge(frames)
        if link.session.is_owed and verdict.fate is not Fate.CLOSED:
            # The fence comes where an attachment should.
            verdict.close("malformed_packet")
            verdict.allowed += verdict.due
            verdict.due = Counter()
        return verdict

    async def _send_plain(self, link: Link, case: Case, pending: Verdict) -> None:
        try:
            await link.send(case.frames)
        except Closed as closed:
            raise self._failure(f"well-formed events closed it: {closed}") from None

    async def _send(self, link: Link, verdict: Verdict, frames: Sequence[Frame]) -> bool:
        """Send and settle; whether the connection can be used on."""
        try:
            await link.send(frames)
        except Closed as closed:
            return self._end(verdict, Heard(), closed)
        places = frozenset(link.session.joined | link.session.joining)
        is_open = await self._settle(link, verdict, places)
        if is_open and verdict.fate is Fate.EITHER:
            # What follows on the heels of the packet that ends it may still be answered.
            ending = Verdict(fate=Fate.EITHER, reasons=verdict.reasons)
            return await self._settle(link, ending, frozenset())
        return is_open

    async def _settle(self, link: Link, verdict: Verdict, places: frozenset[str]) -> bool:
        """Wait until the server has dealt with everything, and compare."""
        fences = {(place, next(self._fences)) for place in (*places, NOBODYS)}
        heard = Heard()
        try:
            await link.send([f'42{place},{ack}["fence",{{}}]' for place, ack in sorted(fences)])
            while fences:
                self._take(link, await link.receive(), fences, heard)
        except Closed as closed:
            return self._end(verdict, heard, closed)
        except TimeoutError:
            missing = {*(verdict.due - heard.answers), *fences}
            raise self._failure(f"no answer to {missing}, no end either") from None
        self._compare(verdict, heard)
        if verdict.fate is Fate.CLOSED:
            raise self._failure(f"it must close {set(verdict.reasons)} and goes on")
        self.codes += heard.codes
        self._on_batch()
        # What nobody can know is not built upon.
        return verdict.is_sure

    def _end(self, verdict: Verdict, heard: Heard, closed: Closed) -> bool:
        if verdict.fate is Fate.OPEN:
            raise self._failure(f"well-formed packets closed it: {closed.code} {closed.reason}")
        is_late = verdict.fate is Fate.EITHER and closed.reason == ""
        if closed.reason not in verdict.reasons and not is_late:
            raise self._failure(f"it closed for {closed!r} and not for {set(verdict.reasons)}")
        self._compare(verdict, heard)
        self._on_batch()
        return False

    def _compare(self, verdict: Verdict, heard: Heard) -> None:
        if unanswered := verdict.due - heard.answers:
            raise self._failure(f"unanswered: {unanswered}")
        if too_many := heard.answers - verdict.due - verdict.allowed:
            raise self._failure(f"answered too often: {too_many}")
        if unsettled := verdict.joins - heard.outcomes:
            raise self._failure(f"neither let in nor refused: {unsettled}")
        if too_many_joins := heard.outcomes - verdict.joins - verdict.maybe_joins:
            raise self._failure(f"let in or refused too often: {too_many_joins}")

    def _take(self, link: Link, packet: str, fences: set[Answer], heard: Heard) -> None:
        """One packet from the server, which may send nothing but these."""
        if found := _ANSWER.fullmatch(packet):
            answer = (found[1] or "/", int(found[2]))
            heard.codes[self._read_code(found[3])] += 1
            if answer in fences:
                fences.discard(answer)
            else:
                heard.answers[answer] += 1
        elif found := _OUTCOME.fullmatch(packet):
            heard.outcomes[found[2] or "/"] += 1
            if found[1] == "4":
                self._check_error(json.loads(found[3])["data"])
            link.session.settle(found[2] or "/", is_in=found[1] == "0")
        elif (found := _TOLD.fullmatch(packet)) and len(json.loads(found[2])) == 3:
            heard.codes["told"] += 1
        else:
            raise self._failure(f"the server sent {packet[:SHOWN]!a}")

    def _read_code(self, text: str) -> str:
        (body,) = json.loads(text)
        if set(body) == {"data"}:
            return "ok"
        if set(body) != {"error"}:
            raise self._failure(f"neither data nor an error: {text[:SHOWN]}")
        self._check_error(body["error"])
        return str(body["error"]["code"])

    def _check_error(self, error: dict[str, Any]) -> None:
        if problem := find_flaw(error):
            raise self._failure(f"{problem}: {error}")

    def _failure(self, what: str) -> Failure:
        cases = "\n".join(map(str, self._sent)) or "the joins"
        return Failure(f"seed {self._seed}: {what}\n{cases}")


def find_flaw(error: dict[str, Any]) -> str | None:
    """What is wrong with an error, as it stands on the wire."""
    known = Error.known.get(error.get("code", ""))
    if known is None or error["code"] in NEVER:
        return "no answer that a client may get"
    if error["retryable"] is not known.retryable or not error["message"]:
        return "not the error of its code"
    if not set(error) <= {"code", "message", "retryable", "fields", "retry_after"}:
        return "more than an error has"
    fields = error.get("fields", [])
    if len(fields) > 20 or any(set(each) != {"path", "code", "message"} for each in fields):
        return "not the fields of an error"
    return None


@dataclass(slots=True)
class Tally:
    """How the server answered, and what the oracle expected of the cases."""

    codes: Counter[str] = field(default_factory=Counter)
    fates: Counter[Fate] = field(default_factory=Counter)


async def fuzz(
    server: Instance,
    scenes: Sequence[Scene],
    seed: int,
    open_link: Open,
    make: Make,
    *,
    cases: int,
    namespaces: int = 1,
    on_batch: Callable[[], None] = lambda: None,
) -> Tally:
    """Let all of them send at once, each their share. Raises: Failure."""
    fuzzers = [
        Fuzzer(
            server.url,
            open_link,
            make,
            scene,
            seed,
            numbers,
            namespaces=min(namespaces, len(scene.namespaces)),
            on_batch=on_batch,
        )
        for scene, numbers in zip(scenes, share(cases, len(scenes)), strict=True)
    ]
    async with at_once(*(fuzzer.run() for fuzzer in fuzzers)) as done:
        await done
    tally = Tally()
    for fuzzer in fuzzers:
        tally.codes += fuzzer.codes
        tally.fates += fuzzer.fates
    return tally

"""Plays faults one after another, with some overlap, and measures what comes after them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults.device import Calm
from tests.faults.record import Finding
from tests.faults.strikes import PLACES, STRIKES, Scene, Stuck

RECOVER_WITHIN = 60.0
GIVE_UP_AFTER = 90.0
OVERLAP_CHANCE = 0.25
OVERLAP_AFTER = 1.5
PAUSES = (1.0, 3.0)


@dataclass(slots=True)
class Played:
    """One fault that was played. Times are of the run's clock."""

    fault: str
    began_at: float
    healed_at: float = 0.0
    over_at: float = 0.0
    recovery: float | None = None


class Conductor:
    def __init__(self, scene: Scene, calm: Calm, say: Callable[[str], None]) -> None:
        self.played: list[Played] = []
        self.findings: list[Finding] = []
        self._scene = scene
        self._calm = calm
        self._say = say

    async def play(self, until: float, only: Sequence[str]) -> None:
        """Rounds of all faults, each shuffled anew, until the time is up."""
        rng = self._scene.rng
        waiting: list[str] = []
        while _now() < until:
            if not waiting:
                waiting = list(only)
                rng.shuffle(waiting)
            faults = [waiting.pop()]
            others = [fault for fault in waiting if PLACES[fault] != PLACES[faults[0]]]
            if others and rng.random() < OVERLAP_CHANCE:
                waiting.remove(others[0])
                faults.append(others[0])
            await self._strike(faults)
            await asyncio.sleep(rng.uniform(*PAUSES) * self._scene.pace)

    async def play_once(self, faults: Sequence[str]) -> None:
        """Each of these once, in an order of the seed's."""
        order = list(faults)
        self._scene.rng.shuffle(order)
        for fault in order:
            await self._strike([fault])

    async def _strike(self, faults: Sequence[str]) -> None:
        self._calm.disturbances += 1
        played = [Played(fault, _now()) for fault in faults]
        self.played += played
        try:
            await asyncio.gather(
                *(self._strike_one(one, place) for place, one in enumerate(played))
            )
        finally:
            self._calm.disturbances -= 1
            self._calm.since = _now()
        recovery = self._scene.people.progress.start()
        self._scene.people.nudge()
        await recovery.wait(GIVE_UP_AFTER)
        for one in played:
            one.over_at = _now()
            one.recovery = recovery.seconds
        names = " + ".join(faults)
        seconds = recovery.seconds
        if seconds is None or seconds > RECOVER_WITHIN:
            took = f"more than {GIVE_UP_AFTER:.0f}" if seconds is None else f"{seconds:.1f}"
            text = f"{names}: {took} s until chats {sorted(recovery.waiting)} talked again"
            self.findings.append(Finding("recovery", text, played[0].began_at))
        said = "not recovered" if seconds is None else f"recovered after {seconds:.1f} s"
        self._say(f"{names}: {said}")

    async def _strike_one(self, played: Played, place: int) -> None:
        await asyncio.sleep(place * OVERLAP_AFTER * self._scene.pace)
        played.began_at = _now()
        self._say(played.fault)
        try:
            await STRIKES[played.fault](self._scene)
        except (Stuck, TimeoutError) as error:
            self.findings.append(Finding("recovery", f"{played.fault}: {error}", played.began_at))
        played.healed_at = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()

"""The achievements there are, and what somebody has done for each: pure rules.

Each is declared by one line of a table; its words are in the catalogues, as
`achievement.<code>_title` and `achievement.<code>_text`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

ONE_DAY = timedelta(days=1)
Days = Sequence[tuple[date, int]]
"""On which local days something was done, and how much; in order."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What somebody has done: in all, on the best day, and on how many days in a row at best."""

    stages: int = 0
    goals: int = 0
    best_day: int = 0
    best_streak: int = 0

    @classmethod
    def of(cls, stages: Days, goals: Days) -> "Tally":
        return cls(
            stages=sum(count for _, count in stages),
            goals=sum(count for _, count in goals),
            best_day=max((count for _, count in stages), default=0),
            best_streak=find_best_streak([day for day, _ in stages]),
        )


def find_best_streak(days: Sequence[date]) -> int:
    """The most consecutive days among these, which are in order, each once.

    Counted anew from the log of what was done, so that an undone stage breaks what it made.
    """
    best = run = 0
    before: date | None = None
    for day in days:
        run = run + 1 if before is not None and day - before == ONE_DAY else 1
        best, before = max(best, run), day
    return best


@dataclass(frozen=True, slots=True)
class Award:
    """An achievement: what counts, and how much of it earns it (each time, if it repeats).

    A hidden one keeps to itself what it is for until it is earned.
    """

    code: str
    icon: str
    measure: Callable[[Tally], int]
    threshold: int
    repeats: bool = False
    hidden: bool = False

    def count(self, tally: Tally) -> int:
        """How often it is earned."""
        times = self.measure(tally) // self.threshold
        return times if self.repeats else min(times, 1)

    def measure_progress(self, tally: Tally) -> int:
        """How much of the threshold is reached: of the next time, if it repeats."""
        measured = self.measure(tally)
        return measured % self.threshold if self.repeats else min(measured, self.threshold)


def _stages(tally: Tally) -> int:
    return tally.stages


def _goals(tally: Tally) -> int:
    return tally.goals


def _streak(tally: Tally) -> int:
    return tally.best_streak


def _best_day(tally: Tally) -> int:
    return tally.best_day


AWARDS = (
    Award("first_stage", "footprint", _stages, 1),
    Award("ten_stages", "stairs", _stages, 10, repeats=True),
    Award("hundred_stages", "mountain", _stages, 100),
    Award("first_goal", "flag", _goals, 1),
    Award("five_goals", "trophy", _goals, 5),
    Award("streak_3", "spark", _streak, 3),
    Award("streak_7", "flame", _streak, 7),
    Award("streak_30", "sun", _streak, 30),
    Award("five_in_a_day", "lightning", _best_day, 5, hidden=True),
)
BY_CODE = {award.code: award for award in AWARDS}

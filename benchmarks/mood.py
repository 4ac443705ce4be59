"""What a million mood entries come to: how long each statistic takes its database.

`python -m benchmarks.mood` on a PostgreSQL of its own.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.loads.chat import find_percentiles
from storage import mood
from storage.database import Database
from storage.mood import PeriodName, Variable, VariableKind
from storage.upgrade import upgrade
from tests.diaries import fill_diaries
from tests.faults.process import find_free_ports
from tests.faults.services import Postgres

LIMIT_MS = 50.0
"""What the median of a series may take."""

LAST = date(2025, 12, 31)
YEAR = (LAST - timedelta(days=364), LAST)
YEARS = (LAST - timedelta(days=1094), LAST)

Ask = Callable[[AsyncSession, int], Awaitable[object]]
ASKED: dict[str, Ask] = {
    "series, a year of days": lambda db, who: mood.list_figures(db, who, *YEAR, PeriodName.DAY),
    "series, three years of weeks": lambda db, who: mood.list_figures(
        db, who, *YEARS, PeriodName.WEEK
    ),
    "series, three years of months": lambda db, who: mood.list_figures(
        db, who, *YEARS, PeriodName.MONTH
    ),
    "figures of a year": lambda db, who: mood.get_figures(db, who, *YEAR),
    "days of three years": lambda db, who: mood.list_days(
        db, who, *YEARS, Variable(VariableKind.TAG, "calm"), Variable(VariableKind.SCORE)
    ),
    "a page of entries": lambda db, who: mood.list_entries(
        db, who, start=None, end=None, skip=0, limit=20
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mood", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--times", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="emotrack-bench-") as folder:
        # PostgreSQL, which does not run as root, has its folder in it.
        Path(folder).chmod(0o755)
        postgres = Postgres(Path(folder), *find_free_ports(1))
        try:
            asyncio.run(bench(postgres, arguments))
        finally:
            postgres.reap()


async def bench(postgres: Postgres, arguments: argparse.Namespace) -> None:
    await postgres.start()
    url = postgres.url.replace("postgresql://", "postgresql+asyncpg://")
    await upgrade(url)
    await fill_diaries(url, people=arguments.people, entries=arguments.entries)
    database = Database(url)
    try:
        for name, ask in ASKED.items():
            times = [
                await measure(database, ask, random.randint(1, arguments.people))
                for _ in range(arguments.times)
            ]
            found = find_percentiles(times)
            told = ", ".join(f"{key} {value:.1f} ms" for key, value in found.items())
            slow = " TOO SLOW" if name.startswith("series") and found["p50"] > LIMIT_MS else ""
            say(f"{name}: {told}{slow}")
    finally:
        await database.close()


async def measure(database: Database, ask: Ask, who: int) -> float:
    """Seconds until it is answered."""
    start = time.perf_counter()
    async with database.session(write=False) as db:
        await ask(db, who)
    return time.perf_counter() - start


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the answer of a command


if __name__ == "__main__":
    main()

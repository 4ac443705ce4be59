"""What a million results and a million mood entries come to: how long it takes to read them.

`python -m benchmarks.reading` on a PostgreSQL of its own. Events are performed as for a request,
without what a socket costs; nothing is remembered from one to the next.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path

from benchmarks.loads.chat import find_percentiles
from handlers.assessments.history import list_patient_results, list_results
from handlers.assessments.payloads import ListPatientResults, ListResults
from handlers.assessments.shipped import install
from handlers.care.patients import get_stats, list_patients
from handlers.care.payloads import GetStats, ListPatients
from handlers.mood.payloads import GetCorrelation, GetSeries
from handlers.mood.statistics import get_correlation, get_series
from run import make_runtime
from server.auth import Identity
from server.context import Caller, Context
from server.runtime import Runtime
from server.settings import Settings
from storage.accounts import Role
from storage.care import Sort
from storage.upgrade import upgrade
from tests.diaries import fill_diaries
from tests.faults.process import find_free_ports
from tests.faults.services import Postgres
from tests.questionnaires import fill_results

LIMIT_MS = 50.0
"""What the median of each may take."""

LAST = date(2025, 12, 31)

Read = Callable[[Context], Awaitable[object]]


def last(days: int) -> dict[str, str]:
    """The period of so many days until the last one."""
    return {"from": f"{LAST - timedelta(days=days - 1)}", "to": f"{LAST}"}


def of_patient(people: int) -> dict[str, Read]:
    """What a patient reads of their own."""
    year, years = last(365), last(1095)
    by_day = GetSeries.model_validate({**year, "period": "day"})
    by_month = GetSeries.model_validate({**years, "period": "month"})
    calm = GetCorrelation.model_validate({**years, "x": "tag:calm", "y": "score"})
    return {
        "result:list": lambda ctx: list_results(ctx, ListResults()),
        "result:list of a year, page 10": lambda ctx: list_results(
            ctx, ListResults.model_validate({**year, "skip": 180})
        ),
        "series:get, a year of days": lambda ctx: get_series(ctx, by_day),
        "series:get, three years of months": lambda ctx: get_series(ctx, by_month),
        "correlation:get, three years": lambda ctx: get_correlation(ctx, calm),
    }


def of_psychologist(people: int) -> dict[str, Read]:
    """What a psychologist of a hundred reads of them."""
    lists: dict[str, Read] = {
        f"patient:list, 100 by {sort}": lambda ctx, sort=sort: list_patients(  # type: ignore[misc] # mypy knows no defaults of lambdas
            ctx, ListPatients(sort=sort, limit=100)
        )
        for sort in Sort
    }
    return {
        "patient:list": lambda ctx: list_patients(ctx, ListPatients()),
        **lists,
        "patient:stats of a year": lambda ctx: get_stats(
            ctx, GetStats.model_validate({**last(365), "patient_id": pick_patient(ctx, people)})
        ),
        "result:patient": lambda ctx: list_patient_results(
            ctx, ListPatientResults(patient_id=pick_patient(ctx, people))
        ),
    }


def pick_patient(ctx: Context, people: int) -> int:
    """One of the hundred."""
    return (ctx.user.id - people - 1) * 100 + random.randint(1, 100)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of entries, and of results")
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--times", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="emotrack-bench-") as folder:
        # PostgreSQL, which does not run as root, has its folder in it.
        Path(folder).chmod(0o755)
        postgres = Postgres(Path(folder), *find_free_ports(1))
        try:
            asyncio.run(bench(postgres, arguments, Path(folder)))
        finally:
            postgres.reap()


async def bench(postgres: Postgres, arguments: argparse.Namespace, folder: Path) -> None:
    await postgres.start()
    settings = Settings(_env_file=None, database_url=postgres.url, data_dir=folder)
    await upgrade(settings.database)
    runtime = make_runtime(settings)
    await install(runtime)
    people = arguments.people
    await fill_diaries(settings.database, people=people, entries=arguments.rows)
    await fill_results(settings.database, people=people, results=arguments.rows)
    try:
        for name, read in of_patient(people).items():
            await report(runtime, name, read, arguments.times, lambda: random.randint(1, people))
        for name, read in of_psychologist(people).items():
            await report(
                runtime,
                name,
                read,
                arguments.times,
                lambda: people + random.randint(1, people // 100),
            )
    finally:
        await runtime.close()


async def report(
    runtime: Runtime, name: str, read: Read, times: int, choose: Callable[[], int]
) -> None:
    taken = [await measure(runtime, read, choose()) for _ in range(times)]
    found = find_percentiles(taken)
    told = ", ".join(f"{key} {value:.1f} ms" for key, value in found.items())
    say(f"{name}: {told}{' TOO SLOW' if found['p50'] > LIMIT_MS else ''}")


async def measure(runtime: Runtime, read: Read, who: int) -> float:
    """Seconds until it is answered."""
    await runtime.cache.close()
    reader = Identity(id=who, role=Role.PATIENT, session_id=0, locale="en")
    start = time.perf_counter()
    async with Context.open(runtime, Caller(), reader, write=False) as ctx:
        await read(ctx)
    return time.perf_counter() - start


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the answer of a command


if __name__ == "__main__":
    main()

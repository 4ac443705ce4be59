"""Every kind of job, killed (-9) before every step, and done twice: one effect all the same."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import pytest
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from jobs.perform import JOBS, LEASE, MAX_CRASHES
from storage.outbox import Job
from storage.tables import metadata
from tests.backend import Backend, Databases
from tests.doomed import Doom, Fate
from tests.instance import start_instance
from tests.unfinished import UNFINISHED

AHEAD = timedelta(minutes=10)
"""When everything that was asked for is due."""

SLACK = 4
"""Steps that there may be fewer of: counts that changed are read one by one, or several together."""

VARYING = {
    "exports": {"attempts", "size", "sha256"},
    "audit": {"id"},
    "erasures": {"id", "pseudonym"},
    "goal_splits": {"attempts", "answer"},
    "notifications": {"id"},
    "outbox": {"id", "claims", "crashes", "error", "failures", "revision"},
}
INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?")
NOTIFICATION = re.compile(r'"id":\d+,"type"')
LINK = re.compile(r"expires=\d+&signature=[0-9a-f]+")
ARCHIVE = re.compile(r'"emotrack-[0-9-]+\.zip","size":\d+,"sha256":"[0-9a-f]+"')
ERASURE = re.compile(r"'leaving\.(\w+)', '\d+', '(\w+)', '{\"erasure_id\":\d+}'")
"""What may differ between two runs that had the same effect."""

DEATHS = {"goals.ask_model": 1}
"""For jobs that count their attempts themselves."""

Effect = dict[str, list[str]]


def test_every_kind_of_job_is_killed_here() -> None:
    assert set(UNFINISHED) == set(JOBS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("job", UNFINISHED)
async def test_a_worker_killed_at_any_step_leaves_one_effect(
    job: str, backend: Backend, databases: Databases, doom: Doom
) -> None:
    async def run(place: Backend, *, late: timedelta, die_at: int | None = None) -> Fate:
        return await asyncio.to_thread(
            doom.run, place.variables, job, ahead=AHEAD + late, die_at=die_at
        )

    async with start_instance(backend, jobs=False) as server:
        await UNFINISHED[job](server)
    assert job in await list_jobs(backend)
    async with databases.copy(backend) as place:
        undisturbed = await run(place, late=timedelta(0))
        expected = await find_effect(place)
        assert expected != await find_effect(backend)

    steps = deque(range(1, undisturbed.steps + 1))
    while steps:
        killed_at = []
        async with databases.copy(backend) as place:
            # One after the other on the same rows, as often as the job may kill its worker.
            most = DEATHS.get(job, MAX_CRASHES - 1)
            for deaths in range(most + 1):
                step = steps[0] if steps and deaths < most else None
                fate = await run(place, late=2 * deaths * LEASE, die_at=step)
                if not fate.died:
                    break
                killed_at.append(steps.popleft())
            assert killed_at, f"nobody died at step {steps[0]}"
            assert await find_effect(place) == expected, f"killed at steps {killed_at}"


@pytest.mark.parametrize("job", UNFINISHED)
async def test_a_job_that_is_done_twice_has_one_effect(
    job: str, backend: Backend, databases: Databases, doom: Doom
) -> None:
    async def run(place: Backend, *, late: timedelta) -> None:
        await asyncio.to_thread(doom.run, place.variables, job, ahead=AHEAD + late)

    async with start_instance(backend, jobs=False) as server:
        await UNFINISHED[job](server)
    async with reading(backend) as connection:
        rows = [dict(row) for row in (await connection.execute(select(Job.__table__))).mappings()]
    async with databases.copy(backend) as place:
        await run(place, late=timedelta(0))
        once = await find_effect(place)
        await put_back(place, [row for row in rows if row["job"] == job])
        await run(place, late=LEASE)
        assert await find_effect(place) == once


async def put_back(place: Backend, rows: list[dict[str, Any]]) -> None:
    """Ask for jobs again under their old ids; one that asked for itself again is due at once."""
    engine = create_async_engine(place.url, poolclass=NullPool)
    async with engine.begin() as connection:
        for row in rows:
            same = (Job.job == row["job"], Job.key == row["key"])
            await connection.execute(delete(Job).where(*same))
            await connection.execute(insert(Job).values(row))
    await engine.dispose()


async def list_jobs(place: Backend) -> list[str]:
    async with reading(place) as connection:
        return list(await connection.scalars(select(Job.job)))


async def find_effect(place: Backend) -> Effect:
    """Every row there is and every file that went outside, without times and counts of attempts."""
    effect: Effect = {}
    async with reading(place) as connection:
        for table in metadata.sorted_tables:
            columns = [c for c in table.columns if c.name not in VARYING.get(table.name, ())]
            rows = await connection.execute(select(*columns))
            effect[table.name] = sorted(describe(row) for row in rows)
    for folder in ("outbox", "blobs"):
        paths = (place.data_dir / folder).rglob("*")
        effect[f"{folder}/"] = sorted(path.name for path in paths if path.is_file())
    return effect


def describe(row: Any) -> str:
    values = ["at some time" if isinstance(value, datetime) else value for value in row]
    text = NOTIFICATION.sub('"id":…,"type"', INSTANT.sub("at some time", repr(values)))
    text = ERASURE.sub(r"'leaving.\1', '\2'", text)
    return ARCHIVE.sub("an archive", LINK.sub("for some time", text))


@asynccontextmanager
async def reading(place: Backend) -> AsyncIterator[AsyncConnection]:
    async with open_engine(place.url).connect() as connection:
        yield connection


@lru_cache(maxsize=2)
def open_engine(url: str) -> AsyncEngine:
    """It holds nothing open; what it knows is how the same statements are written."""
    return create_async_engine(url, poolclass=NullPool)

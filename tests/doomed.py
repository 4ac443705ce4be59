"""A worker that dies: run as a program, it forks one for every line it reads.

A line asks for a worker that does the due jobs of one name, in JSON: the `variables` of its
environment, the `job`, how many seconds `ahead` it lives, and before which of its steps
(each transaction, and its commit) it kills itself. Forking spares each one the imports. The answer: whether it died, and the steps it took.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import event, select

from jobs.broker import build_brokers
from jobs.wakes import Wakes
from jobs.worker import Worker
from run import make_runtime
from server import metrics
from server.log import configure_logging
from server.runtime import Runtime
from server.settings import Settings
from storage.database import Database
from storage.outbox import Job, Wake
from tests.forked import prepare

ROOT = Path(__file__).parents[1]
DEADLINE = 20.0
PAUSE = 0.005
TELL_AGAIN = 3.0


@dataclass(frozen=True, slots=True)
class Fate:
    """How a worker ended, and how many steps it took."""

    died: bool
    steps: int


class Doom:
    """The program from the side of a test."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.doomed"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, variables: Mapping[str, str], job: str, *, ahead: timedelta, die_at: int | None = None
    ) -> Fate:
        """Let a worker do what is due `ahead` of now; blocks until it has ended."""
        order = {
            "job": job,
            "variables": dict(variables),
            "ahead": ahead.total_seconds(),
            "die_at": die_at,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Fate(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    configure_logging("ERROR", as_json=True)
    prepare()
    for line in sys.stdin:
        print(json.dumps(_run_forked(json.loads(line))), flush=True)  # noqa: T201 - the answer


def _run_forked(order: dict[str, Any]) -> dict[str, Any]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ.update(order["variables"])
        asyncio.run(_work(order, writer))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        steps = len(pipe.read())
    _, status = os.waitpid(child, 0)
    died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not died and status != 0:
        sys.exit(f"a worker ended with status {status}")
    return {"died": died, "steps": steps}


async def _work(order: dict[str, Any], pipe: int) -> None:
    settings = Settings(_env_file=None)
    runtime = make_runtime(settings)
    ahead = timedelta(seconds=order["ahead"])
    runtime.clock = lambda: datetime.now(UTC) + ahead
    _count_steps(runtime, pipe, order["die_at"])
    brokers = build_brokers(runtime.settings)
    watched = Database(settings.database)
    await runtime.bus.start()
    async with (
        asyncio.timeout(DEADLINE),
        Wakes(runtime, brokers) as wakes,
        Worker(runtime, brokers),
    ):
        # What these jobs ask for is left to others.
        runtime.waker = None
        told: dict[int, float] = {}
        while (due := await _list_due(watched, runtime, order["job"])) or _is_busy():
            for wake in due:
                # Told again after a while, as by a scheduler: wakes may be lost.
                if monotonic() - told.get(wake.job_id, -TELL_AGAIN) >= TELL_AGAIN:
                    told[wake.job_id] = monotonic()
                    wakes.wake([wake])
            await asyncio.sleep(PAUSE)
        # What is read once a job is committed has its steps too.
        await runtime.states.close()


def _count_steps(runtime: Runtime, pipe: int, die_at: int | None) -> None:
    count = 0

    def step(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(pipe, b".")

    # Inside a transaction one death is as good as another: the database takes all of it back.
    for engine in runtime.database.engines.values():
        event.listen(engine.sync_engine, "begin", step)
        event.listen(engine.sync_engine, "commit", step)


def _is_busy() -> bool:
    return any(one.value for metric in metrics.jobs_running.collect() for one in metric.samples)


async def _list_due(database: Database, runtime: Runtime, job: str) -> list[Wake]:
    async with database.session(write=False) as db:
        rows = await db.execute(
            select(Job.queue, Job.id)
            .where(Job.job == job, Job.due_at <= runtime.clock())
            .limit(100)
        )
        return [Wake(*row) for row in rows]


if __name__ == "__main__":
    main()

"""What is counted at the moment when Prometheus asks, and the answer to it."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from time import monotonic

from aiohttp import web
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from server import metrics
from server.log import get_logger
from server.outgoing import Queue
from server.runtime import Runtime
from server.tasks import end_tasks
from storage import dead_jobs, outbox
from storage.database import Database
from storage.outbox import Backlog

log = get_logger(__name__)

PATIENCE = 2.0
"""Seconds for the database; Prometheus itself waits ten."""

LOOP_EVERY = 0.5

Count = Callable[[], None]


def attach_metrics(app: web.Application, runtime: Runtime, *counts: Count) -> None:
    """Serve `/metrics`, and watch the event loop as long as the application runs.

    Each of `counts` sets the gauges of a part that not every process has.
    """

    async def answer(request: web.Request) -> web.Response:
        body = await scrape(runtime, *counts)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/metrics", answer)
    app.cleanup_ctx.append(_watch_loop)


async def scrape(runtime: Runtime, *counts: Count) -> bytes:
    """All metrics as text; a database that is away leaves its own ones out."""
    waiting = await _read_outbox(runtime)
    _show_outbox(waiting, runtime.clock())
    _show_pools(runtime.database)
    metrics.bus_healthy.set(runtime.bus.healthy)
    metrics.bus_waiting.set(runtime.bus.waiting)
    for count in counts:
        count()
    # Thousands of lines: the event loop must not stand still for them.
    return await asyncio.to_thread(generate_latest)


async def _read_outbox(runtime: Runtime) -> tuple[list[Backlog], int] | None:
    try:
        async with asyncio.timeout(PATIENCE), runtime.database.session(write=False) as db:
            backlogs = await outbox.count_backlog(db, list(Queue), runtime.clock())
            return backlogs, await dead_jobs.count(db)
    except Exception as error:
        log.warning("scrape.database", error=type(error).__name__)
        return None


def _show_outbox(found: tuple[list[Backlog], int] | None, now: datetime) -> None:
    metrics.database_up.set(found is not None)
    if found is None:
        # What was true a while ago would hide that nobody knows.
        metrics.jobs_due.clear()
        metrics.oldest_job.clear()
        metrics.dead_jobs.set(math.nan)
        return
    backlogs, dead = found
    waiting = {backlog.queue: backlog for backlog in backlogs}
    for queue in Queue:
        backlog = waiting.get(queue)
        age = (now - backlog.oldest).total_seconds() if backlog else 0
        metrics.jobs_due.labels(queue).set(backlog.due if backlog else 0)
        metrics.oldest_job.labels(queue).set(max(0, age))
    metrics.dead_jobs.set(dead)


def _show_pools(database: Database) -> None:
    for name, pool in database.pools.items():
        metrics.pool_size.labels(name).set(pool.size())
        metrics.pool_taken.labels(name).set(pool.checkedout())
        metrics.pool_waiting.labels(name).set(pool.waiting)


async def _watch_loop(app: web.Application) -> AsyncIterator[None]:
    watching = asyncio.create_task(_measure_loop())
    yield
    await end_tasks([watching])


async def _measure_loop() -> None:
    while True:
        before = monotonic()
        await asyncio.sleep(LOOP_EVERY)
        metrics.loop_lag.observe(max(0, monotonic() - before - LOOP_EVERY))

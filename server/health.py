"""Whether a process is well: for balancers, orchestrators and Prometheus."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from sqlalchemy import text

from server.log import get_logger
from server.runtime import Runtime
from server.scrape import Count, attach_metrics

log = get_logger(__name__)

TIMEOUT = 3


def attach_health(
    app: web.Application, runtime: Runtime, is_draining: Callable[[], bool], *counts: Count
) -> None:
    """What a server that takes clients tells of itself."""
    app.router.add_get("/health/live", _answer_alive)
    app.router.add_get("/health/ready", _answer_readiness(runtime, is_draining))
    attach_metrics(app, runtime, *counts)


def build_metrics_app(runtime: Runtime) -> web.Application:
    """What a process without clients, a worker or a scheduler, tells of itself."""
    app = web.Application()
    app.router.add_get("/health/live", _answer_alive)
    attach_metrics(app, runtime)
    return app


async def _answer_alive(request: web.Request) -> web.Response:
    return web.json_response({"status": "alive"})


def _answer_readiness(
    runtime: Runtime, is_draining: Callable[[], bool]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        bus = "ok" if runtime.bus.healthy else "degraded"
        if is_draining():
            return web.json_response({"status": "draining", "bus": bus}, status=503)
        try:
            async with asyncio.timeout(TIMEOUT), runtime.database.session(write=False) as db:
                await db.execute(text("SELECT 1"))
        except Exception as error:
            log.warning("health.database", error=type(error).__name__)
            body = {"status": "unavailable", "database": "unavailable", "bus": bus}
            return web.json_response(body, status=503)
        return web.json_response({"status": "ready", "database": "ok", "bus": bus})

    return answer

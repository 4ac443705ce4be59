"""The server: what it is made of, and in which order it starts and stops."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from aiohttp import web
from sqlalchemy import text

from server.batches import Batches
from server.catalog import attach_documents
from server.contract import Namespace, by_name
from server.delivery import Delivery
from server.dispatch import Dispatch, Turns
from server.http import MAX_BODY, Http, allow_origins, get_metrics, map_errors
from server.log import get_logger
from server.runtime import Runtime
from server.transport import Transport

log = get_logger(__name__)


def build_app(
    runtime: Runtime,
    namespaces: Sequence[Namespace],
    background: Sequence[AbstractAsyncContextManager[object]] = (),
) -> web.Application:
    """The aiohttp application. `background` runs while it does: started last, stopped first."""
    named = by_name(namespaces)
    origins = runtime.settings.cors_origins
    batches = Batches(runtime, namespaces)
    delivery = Delivery(runtime, named)
    dispatch = Dispatch(runtime, named, delivery, batches)
    http = Http(runtime, named, delivery, batches)
    transport = Transport(origins, dispatch, Turns, http.read_caller)

    app = web.Application(
        middlewares=[allow_origins(origins), map_errors], client_max_size=MAX_BODY
    )
    transport.attach(app)
    http.attach(app)
    attach_documents(app, namespaces, runtime.settings.public_url)
    app.router.add_get("/health/live", _answer_alive)
    app.router.add_get("/health/ready", _answer_readiness(runtime))
    app.router.add_get("/metrics", get_metrics)

    async def live(app: web.Application) -> AsyncIterator[None]:
        await delivery.start(transport)
        for part in background:
            await part.__aenter__()
        log.info("server.started")
        yield
        for part in reversed(background):
            await part.__aexit__(None, None, None)
        await delivery.stop()
        await runtime.close()
        log.info("server.stopped")

    async def leave(app: web.Application) -> None:
        await dispatch.stop()
        await transport.stop()

    app.cleanup_ctx.append(live)
    app.on_shutdown.append(leave)
    return app


async def _answer_alive(request: web.Request) -> web.Response:
    return web.json_response({"status": "alive"})


def _answer_readiness(runtime: Runtime) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        bus = "ok" if runtime.bus.healthy else "degraded"
        try:
            async with asyncio.timeout(3), runtime.database.session(write=False) as db:
                await db.execute(text("SELECT 1"))
        except Exception as error:
            log.warning("health.database", error=type(error).__name__)
            body = {"status": "unavailable", "database": "unavailable", "bus": bus}
            return web.json_response(body, status=503)
        return web.json_response({"status": "ready", "database": "ok", "bus": bus})

    return answer

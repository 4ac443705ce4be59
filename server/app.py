"""The server: what it is made of, and in which order it starts and stops."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiohttp import web

from server.batches import Batches
from server.catalog import attach_documents
from server.context import Context
from server.contract import Namespace, by_name
from server.delivery import Delivery
from server.dispatch import Dispatch
from server.follow_ups import FollowUps
from server.health import attach_health
from server.http import MAX_BODY, Http, allow_origins, map_errors, name_request, tell_name
from server.log import get_logger
from server.runtime import Runtime
from server.transport import Transport
from server.turns import Turns

log = get_logger(__name__)

DRAIN: web.AppKey[Callable[[], Coroutine[Any, Any, None]]] = web.AppKey("drain")
"""Sends the clients elsewhere; to be awaited while the server still answers."""


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
    transport = Transport(runtime, dispatch, Turns, http.read_caller)

    app = web.Application(
        middlewares=[name_request, allow_origins(origins), map_errors], client_max_size=MAX_BODY
    )
    app.on_response_prepare.append(tell_name)
    transport.attach(app)
    http.attach(app)
    attach_documents(app, namespaces, runtime.settings.public_url)
    attach_health(app, runtime, lambda: transport.is_draining, transport.count, delivery.count)

    async def live(app: web.Application) -> AsyncIterator[None]:
        for namespace in namespaces:
            if namespace.on_start is not None:
                await namespace.on_start(runtime)
        await delivery.start(transport)
        runtime.follow_ups = follow_ups = FollowUps(lambda: Context.open(runtime))
        for part in background:
            await part.__aenter__()
        if runtime.settings.redis and not runtime.settings.internal_address:
            log.warning("server.unknown_to_peers", hint="INTERNAL_URL is not set")
        log.info("server.started")
        yield
        for part in reversed(background):
            await part.__aexit__(None, None, None)
        await follow_ups.close()
        await delivery.stop()
        await runtime.close()
        log.info("server.stopped")

    async def drain() -> None:
        http.release()
        await transport.drain(runtime.settings.drain_seconds)

    async def leave(app: web.Application) -> None:
        await dispatch.stop()
        await transport.stop()

    app[DRAIN] = drain
    app.cleanup_ctx.append(live)
    app.on_shutdown.append(leave)
    return app

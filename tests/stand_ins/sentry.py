"""Sentry: takes envelopes as the real one does and keeps the events in them."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

KEY = "0123456789abcdef0123456789abcdef"
PROJECT = 42
PATIENCE = 10.0


class SentryStandIn:
    def __init__(self) -> None:
        self.port = 0
        self.events: list[dict[str, Any]] = []
        self.bodies: list[str] = []
        """All that came, as text."""
        self._news = asyncio.Condition()

    @property
    def dsn(self) -> str:
        return f"http://{KEY}@127.0.0.1:{self.port}/{PROJECT}"

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """The events, once there are so many."""
        async with self._news, asyncio.timeout(PATIENCE):
            await self._news.wait_for(lambda: len(self.events) >= count)
        return self.events

    def attach(self, app: web.Application) -> None:
        app.router.add_post(f"/api/{PROJECT}/envelope/", self._take)

    async def _take(self, request: web.Request) -> web.Response:
        if f"sentry_key={KEY}" not in request.headers.get("X-Sentry-Auth", ""):
            return web.Response(status=401)
        # aiohttp has undone the compression already, where it was declared.
        body = await request.read()
        text = (gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body).decode()
        async with self._news:
            self.bodies.append(text)
            self.events += _read_events(text)
            self._news.notify_all()
        return web.json_response({})


def _read_events(envelope: str) -> list[dict[str, Any]]:
    """A line about the envelope, then two for each item: what it is, and the item."""
    _, *lines = envelope.strip().split("\n")
    heads, items = lines[::2], lines[1::2]
    return [
        json.loads(item)
        for head, item in zip(heads, items, strict=True)
        if json.loads(head)["type"] == "event"
    ]


@asynccontextmanager
async def run_sentry() -> AsyncIterator[SentryStandIn]:
    sentry = SentryStandIn()
    app = web.Application()
    sentry.attach(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sentry.port = runner.addresses[0][1]
    try:
        yield sentry
    finally:
        await runner.cleanup()

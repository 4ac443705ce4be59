"""The stream broker alone: a worker that stops waits for its reads to end."""

import asyncio

import pytest

from jobs.broker import StreamBroker
from tests.backend import Backend

STEPS = 40
"""More turns of the loop than pass between two reads that find nothing."""


@pytest.mark.scaled
async def test_a_read_ends_wherever_it_is_cancelled(backend: Backend) -> None:
    assert backend.redis_url is not None
    broker = StreamBroker(backend.redis_url, "emotrack:test:broker")
    broker.block = 20
    await broker.startup()
    stuck = set()
    for steps in range(STEPS):
        entries = broker.listen()
        reading = asyncio.create_task(anext(entries))
        for _ in range(steps):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading], timeout=1.0)
        if not reading.done():
            stuck.add(steps)
            reading.cancel()
            await asyncio.wait([reading])
        await entries.aclose()
    await broker.shutdown()
    assert not stuck

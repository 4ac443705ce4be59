"""A server with everything that is declared, and no jobs in the background."""

from collections.abc import AsyncIterator

import pytest

from server import engine
from tests.backend import Backend
from tests.fuzz.packets import Scene
from tests.fuzz.setting import make_scenes
from tests.instance import Instance, start_instance

PATIENCE = 600
"""Seconds in which those who stay must answer a ping: nothing here is about that."""


@pytest.fixture
async def fuzzed(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Instance]:
    monkeypatch.setattr(engine, "PING_TIMEOUT", PATIENCE)
    async with start_instance(backend, jobs=False) as server:
        yield server


@pytest.fixture
async def scenes(fuzzed: Instance) -> list[Scene]:
    return await make_scenes(fuzzed)

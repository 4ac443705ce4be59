"""A server with everything that is declared, and no jobs in the background."""

from collections.abc import AsyncIterator

import pytest

from tests.backend import Backend
from tests.fuzz.packets import Scene
from tests.fuzz.setting import make_scenes
from tests.instance import Instance, start_instance


@pytest.fixture
async def fuzzed(backend: Backend) -> AsyncIterator[Instance]:
    async with start_instance(backend, jobs=False) as server:
        yield server


@pytest.fixture
async def scenes(fuzzed: Instance) -> list[Scene]:
    return await make_scenes(fuzzed)

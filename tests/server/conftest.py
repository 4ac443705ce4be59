"""A server with the small namespace of `trial.py`, and somebody who uses it."""

from collections.abc import AsyncIterator

import pytest

from tests.backend import Backend
from tests.instance import Instance, Person
from tests.server.trial import start_trial, wait_for_bus


@pytest.fixture
async def kernel(backend: Backend) -> AsyncIterator[Instance]:
    async with start_trial(backend) as server:
        await wait_for_bus(server)
        yield server


@pytest.fixture
async def second(kernel: Instance, backend: Backend) -> AsyncIterator[Instance]:
    """One more, of the same deployment; both hear each other."""
    async with start_trial(backend) as server:
        await wait_for_bus(server)
        yield server


@pytest.fixture
async def person(kernel: Instance) -> Person:
    return await kernel.add_person()

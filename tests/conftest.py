"""Fixtures: a server, or several, on databases that the tests own."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.backend import SCALED, Backend, Databases
from tests.command import Shell
from tests.doomed import Doom
from tests.instance import Instance, start_instance

StartInstance = Callable[..., Awaitable[Instance]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "scaled: needs PostgreSQL and Redis")
    config.addinivalue_line("markers", "embedded: about the parts of a single process")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test for the other set of parts belongs to the other run: it is not skipped but left out."""
    other = "embedded" if SCALED else "scaled"
    kept = [item for item in items if item.get_closest_marker(other) is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything is required, a skipped test fails the run (the reasons: `-rs`)."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    required = os.environ.get("EMOTRACK_REQUIRE_SERVICES") == "1"
    if required and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    databases = Databases(tmp_path_factory.mktemp("databases"))
    databases.start()
    yield databases
    databases.stop()


@pytest.fixture(scope="module")
def doom() -> Iterator[Doom]:
    """Workers that die when they are told to."""
    doom = Doom()
    yield doom
    doom.close()


@pytest.fixture
async def backend(databases: Databases, tmp_path: Path) -> AsyncIterator[Backend]:
    async with databases.lend(tmp_path) as backend:
        yield backend


@pytest.fixture
async def fresh(databases: Databases, tmp_path: Path) -> AsyncIterator[Backend]:
    """A database without any tables."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    async with databases.lend_fresh(folder) as backend:
        yield backend


@pytest.fixture
async def shell(backend: Backend) -> Shell:
    """Where run.py is called, on the test's databases."""
    return Shell(backend)


@pytest.fixture
async def start(backend: Backend) -> AsyncIterator[StartInstance]:
    """Start one more server on the test's databases."""
    async with AsyncExitStack() as stack:

        async def start_one(**changes: Any) -> Instance:
            return await stack.enter_async_context(start_instance(backend, **changes))

        yield start_one


@pytest.fixture
async def server(start: StartInstance) -> Instance:
    return await start()


@pytest.fixture
async def instances(start: StartInstance) -> tuple[Instance, Instance]:
    """Two servers behind which people may be connected to either."""
    return await start(), await start()

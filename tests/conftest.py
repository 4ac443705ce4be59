"""Fixtures: a server, or several, on databases that the tests own."""

import gc
import os
from asyncio import AbstractEventLoop, new_event_loop
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from run import new_loop
from tests.backend import SCALED, Backend, Databases
from tests.command import Shell
from tests.doomed import Doom
from tests.instance import Instance, start_instance
from tests.server.own_redis import OwnRedis
from tests.stand_ins.fcm import FcmStandIn, run_fcm
from tests.stand_ins.openai import ModelStandIn, run_model
from tests.stand_ins.smtp import SmtpStandIn, run_smtp

StartInstance = Callable[..., Awaitable[Instance]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "scaled: needs PostgreSQL and Redis")
    config.addinivalue_line("markers", "embedded: about the parts of a single process")
    config.addinivalue_line("markers", "alone: measures times, so nothing else may run beside it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test for the other set of parts belongs to the other run: it is not skipped but left out."""
    other = "embedded" if SCALED else "scaled"
    kept = [item for item in items if item.get_closest_marker(other) is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """As run.py serves; embedded, as it does where uvloop is not to be had."""
    return {"loop": new_loop if SCALED else new_event_loop}


def pytest_collection_finish() -> None:
    """What is imported by now stays: collecting garbage need not look at it again each time."""
    gc.collect()
    gc.freeze()


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
async def smtp() -> AsyncIterator[SmtpStandIn]:
    async with run_smtp() as smtp:
        yield smtp


@pytest.fixture
async def fcm(tmp_path: Path) -> AsyncIterator[FcmStandIn]:
    async with run_fcm(tmp_path) as fcm:
        yield fcm


@pytest.fixture
async def model() -> AsyncIterator[ModelStandIn]:
    async with run_model() as model:
        yield model


@pytest.fixture
async def own_redis(tmp_path: Path) -> AsyncIterator[OwnRedis]:
    """A Redis that may be taken away."""
    redis = OwnRedis(tmp_path)
    await redis.start()
    yield redis
    await redis.kill()


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

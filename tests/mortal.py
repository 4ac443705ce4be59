"""A deployment whose workers are killed again and again, and come back later than they went."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from run import make_runtime
from server.settings import Settings
from tests.backend import SCALED, Backend
from tests.faults.process import find_free_ports
from tests.instance import Instance
from tests.nursery import Nursery, open_nursery

WHILE_DEAD = timedelta(seconds=20)
"""Longer than a dead worker's claims hold, and than a push waits for whoever is looking."""

LASTING, DYING = ([["serve"]], [["worker"], ["scheduler"]]) if SCALED else ([], [["serve"]])


class Mortal:
    """Processes of run.py on the databases of a test; `instance` speaks to their server.

    Time goes on while they are dead, without anybody waiting for it.
    """

    def __init__(self, nursery: Nursery, instance: Instance) -> None:
        self.instance = instance
        self.ahead = timedelta(0)
        self.deaths = 0
        self._nursery = nursery
        self._living: list[int] = []

    @property
    def now(self) -> datetime:
        """The time of those who die."""
        return datetime.now(UTC) + self.ahead

    async def begin(self) -> None:
        await self._nursery.start(*LASTING)
        self._living = await self._nursery.start(*DYING)

    async def strike(self, later: timedelta = WHILE_DEAD) -> None:
        """Kill them as they are, and start others that live so much later."""
        await self._nursery.kill(self._living)
        self.deaths += 1
        self.ahead += later
        self._living = await self._nursery.start(*DYING, ahead=self.ahead.total_seconds())


@asynccontextmanager
async def run_mortal(backend: Backend, variables: Mapping[str, str]) -> AsyncIterator[Mortal]:
    (port,) = find_free_ports(1)
    url = f"http://127.0.0.1:{port}"
    own = {
        **backend.variables,
        **variables,
        "PORT": str(port),
        "PUBLIC_URL": url,
        "RATE_LIMIT_SCALE": "0",
    }
    settings = Settings(
        _env_file=None,
        public_url=url,
        database_url=backend.database_url,
        redis_url=backend.redis_url,
        data_dir=backend.data_dir,
    )
    runtime = make_runtime(settings)
    instance = Instance(runtime, url)
    try:
        async with open_nursery(own, backend.data_dir) as nursery:
            mortal = Mortal(nursery, instance)
            await mortal.begin()
            yield mortal
    finally:
        await runtime.close()

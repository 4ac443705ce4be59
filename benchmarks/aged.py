"""Ours with a past: on a database that already holds what people wrote to each other for months."""

from pathlib import Path

import asyncpg

from benchmarks.peers import Ours
from tests.faults.cluster import Cluster
from tests.faults.services import DATABASE

PASTS = {f"{Ours.name} {messages:,}": messages for messages in (50_000, 500_000)}
"""Messages; to each belong three entries of the event log, and to every second one a receipt."""

_SQL = Path(__file__).with_name("aged.sql")


class Aged(Ours):
    """Every round is on a new copy of the same past, which rounds before did not make longer."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        super().__init__(cluster)
        self.name = name
        self._database = name.replace(" ", "_").replace(",", "")

    async def fill(self, messages: int, couples: int) -> None:
        """Take over everybody, and let them have written so many messages. No server may run."""
        past = f"{self._database}_past"
        await self._copy(DATABASE, past)
        database = await asyncpg.connect(self._find_url(past))
        each = messages // couples // 4 * 4
        await database.execute(_SQL.read_text().format(each=each))
        await database.execute("VACUUM ANALYZE")
        await database.close()

    async def start(self, instances: int) -> list[int]:
        await self._copy(f"{self._database}_past", self._database)
        self._turn_to(self._find_url(self._database))
        return await super().start(instances)

    async def stop(self) -> None:
        await super().stop()
        self._turn_to(self._cluster.postgres.url)

    async def _copy(self, source: str, target: str) -> None:
        server = await asyncpg.connect(self._find_url("postgres"))
        await server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", source
        )
        await server.execute(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
        await server.execute(f"CREATE DATABASE {target} TEMPLATE {source} STRATEGY file_copy")
        await server.close()

    def _turn_to(self, url: str) -> None:
        cluster = self._cluster
        servers = [server.process for server in cluster.servers]
        for process in (*servers, cluster.worker, cluster.scheduler):
            process.environment["DATABASE_URL"] = url

    def _find_url(self, database: str) -> str:
        return self._cluster.postgres.url.removesuffix(DATABASE) + database


async def make_aged(cluster: Cluster, couples: int) -> list[Aged]:
    """The same people with a short past, and with one ten times as long."""
    made = []
    for name, messages in PASTS.items():
        aged = Aged(cluster, name)
        await aged.fill(messages, couples)
        made.append(aged)
    return made

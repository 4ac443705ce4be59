"""The servers that are compared: how each is started, and who chats there."""

import itertools
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol

import asyncpg
import jwt

from benchmarks.crowd import WATCHED, WATCHERS, One, describe, make_crowd
from tests.faults.cluster import Cluster, ask_status
from tests.faults.people import open_instance
from tests.faults.process import Process, find_free_ports, wait_until
from tests.faults.services import DATABASE

HERE = Path(__file__).parent
ROOT = HERE.parent
SHORT, LONG = 1_000, 1_000_000
TOKENS_LAST = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Couple:
    """Two people with a chat."""

    chat_id: int
    user_ids: tuple[int, int]
    tokens: tuple[str, str]


class Peer(Protocol):
    """A server with its database; started anew for each round."""

    name: str
    options: ClassVar[dict[str, Any]]
    """What loads must know of it."""

    async def start(self, instances: int) -> list[int]:
        """The ports on which it answers."""

    async def prepare(self, couples: int) -> Sequence[Couple]:
        """Make the people, while it runs."""

    async def make_ready(self, workload: str) -> dict[str, Any]:
        """Whatever this workload needs besides; what its load must know of that."""

    async def stop(self) -> None: ...

    @property
    def server_ids(self) -> list[int]:
        """Its processes that speak to clients."""

    @property
    def worker_ids(self) -> list[int]:
        """Its processes that do not."""


class Ours:
    """The whole deployment: log, receipts, outbox and idempotency, a worker and a scheduler."""

    name = "emotrack"

    options: ClassVar = {
        "follows": True,
        "namespaces": ["/chat", "/notifications"],
        "watching": "/chat",
    }

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._servers = cluster.servers
        self._couples: list[Couple] = []
        self._made: dict[str, dict[str, Any]] = {}
        """What was made for workloads, by their names: once is enough."""

    async def start(self, instances: int) -> list[int]:
        self._servers = self._cluster.servers[:instances]
        for server in self._servers:
            server.start()
            await server.wait_ready()
        for process in (self._cluster.worker, self._cluster.scheduler):
            process.log.unlink(missing_ok=True)
            process.start()
            await wait_until(lambda process=process: _is_ready(process), process.name)  # type: ignore[misc]  # as below
        return [server.port for server in self._servers]

    async def prepare(self, couples: int) -> Sequence[Couple]:
        made = self._couples
        async with open_instance(self._cluster) as instance:
            for _ in range(couples):
                pair = await instance.connect_pair()
                chat_id = await instance.open_chat(*pair)
                ids, tokens = [one.id for one in pair], [one.token for one in pair]
                made.append(Couple(chat_id, (ids[0], ids[1]), (tokens[0], tokens[1])))
        return made

    async def make_ready(self, workload: str) -> dict[str, Any]:
        if workload not in self._made:
            self._made[workload] = await self._make(workload)
        return self._made[workload]

    async def _make(self, workload: str) -> dict[str, Any]:
        if workload == "told":
            return await make_crowd(self._cluster)
        if workload == "storm":
            await self._execute((HERE / "missed.sql").read_text())
        elif workload == "history":
            sql = (HERE / "long_chat.sql").read_text()
            for couple, length in zip(self._couples[-2:], (SHORT, LONG), strict=True):
                sender_id = couple.user_ids[0]
                await self._execute(
                    sql.format(chat_id=couple.chat_id, sender_id=sender_id, length=length)
                )
        return {}

    async def _execute(self, sql: str) -> None:
        database = await asyncpg.connect(self._cluster.postgres.url)
        await database.execute(sql)
        await database.close()

    async def stop(self) -> None:
        for process in (
            *(server.process for server in self._servers),
            self._cluster.worker,
            self._cluster.scheduler,
        ):
            await process.kill()
        # What these left undone is not for those of the next round to do.
        await self._execute("DELETE FROM outbox")

    @property
    def server_ids(self) -> list[int]:
        return [server.process.id for server in self._servers]

    @property
    def worker_ids(self) -> list[int]:
        return [self._cluster.worker.id, self._cluster.scheduler.id]


class Theirs:
    """A server of one process an instance, with a database of its own on the same PostgreSQL."""

    options: ClassVar = {"follows": False, "namespaces": ["/chat"], "watching": "/presence"}

    def __init__(self, name: str, command: Sequence[str], cluster: Cluster) -> None:
        self.name = name
        self._command = command
        self._cluster = cluster
        self._url = cluster.postgres.url.removesuffix(DATABASE) + name
        self._processes: list[Process] = []

    async def start(self, instances: int) -> list[int]:
        ports = find_free_ports(instances)
        self._processes = [
            Process(
                f"{self.name}{number}",
                self._command,
                folder=self._cluster.folder,
                environment={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(ROOT),
                    "NODE_ENV": "production",
                    "DATABASE_URL": self._url,
                    "REDIS_URL": self._cluster.redis.url,
                    "JWT_SECRET_KEY": self._key,
                    "PORT": str(port),
                },
            )
            for number, port in enumerate(ports)
        ]
        for process, port in zip(self._processes, ports, strict=True):
            process.start()
            await wait_until(lambda port=port: _answers(port), process.name)  # type: ignore[misc]  # a lambda's default has no type
        return ports

    async def make_database(self) -> None:
        server = await asyncpg.connect(self._cluster.postgres.url)
        await server.execute(f"CREATE DATABASE {self.name}")
        await server.close()
        database = await asyncpg.connect(self._url)
        await database.execute((HERE / "schema.sql").read_text())
        await database.close()

    async def prepare(self, couples: int) -> Sequence[Couple]:
        ids = itertools.count(1)
        made = []
        for chat_id in range(1, couples + 1):
            pair = (next(ids), next(ids))
            tokens = (self._sign(pair[0]), self._sign(pair[1]))
            made.append(Couple(chat_id, pair, tokens))
        database = await asyncpg.connect(self._url)
        await database.executemany(
            "INSERT INTO chats (id, members) VALUES ($1, $2)",
            [(couple.chat_id, list(couple.user_ids)) for couple in made],
        )
        await database.close()
        return made

    async def make_ready(self, workload: str) -> dict[str, Any]:
        """Who may watch whom they do not ask, and so nobody needs to be there."""
        ids = range(1, 1 + WATCHED + WATCHERS)
        return describe([One(one, self._sign(one)) for one in ids]) if workload == "told" else {}

    async def stop(self) -> None:
        for process in self._processes:
            await process.kill()

    @property
    def server_ids(self) -> list[int]:
        return [process.id for process in self._processes]

    @property
    def worker_ids(self) -> list[int]:
        return []

    @property
    def _key(self) -> str:
        return self._cluster.variables["JWT_SECRET_KEY"]

    def _sign(self, user_id: int) -> str:
        claims = {"sub": str(user_id), "exp": datetime.now(UTC) + TOKENS_LAST}
        return jwt.encode(claims, self._key, algorithm="HS256")


async def make_peers(cluster: Cluster, names: Sequence[str]) -> list[Peer]:
    commands = {
        "node": [shutil.which("node") or "node", str(HERE / "node" / "server.mjs")],
        "plain": [sys.executable, "-m", "benchmarks.plain"],
        "echo": [sys.executable, "-m", "benchmarks.echo"],
    }
    peers: list[Peer] = []
    for name in names:
        if name == Ours.name:
            peers.append(Ours(cluster))
        else:
            theirs = Theirs(name, commands[name], cluster)
            await theirs.make_database()
            peers.append(theirs)
    return peers


async def _is_ready(process: Process) -> bool:
    return "is ready" in process.log.read_text()


async def _answers(port: int) -> bool:
    try:
        return await ask_status(port, "/health/ready") == 200
    except OSError:
        return False

"""Everything a deployment is made of, as processes of the run's own."""

import asyncio
import json
import os
import re
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.command import ROOT
from tests.faults.process import Process, find_free_ports, wait_until
from tests.faults.services import Postgres, RedisServer

HOST = "127.0.0.1"
READY_WITHIN = 60.0
EXIT_WITHIN = 45.0
TOKEN_MINUTES = 240
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ALARMING = re.compile(r"\[(error|critical)\s*\]|Traceback \(most recent call last\)|never awaited")


class Server:
    """One `run.py serve`; its clock may be wrong."""

    def __init__(self, process: Process, port: int, entry: list[str]) -> None:
        self.process = process
        self.port = port
        self.offset = 0.0
        self._entry = entry

    def start(self) -> None:
        entry = self._entry
        if self.offset:
            entry = ["-m", "tests.faults.skewed", str(self.offset)]
        self.process.command = [sys.executable, *entry, "serve"]
        self.process.start()

    async def is_ready(self) -> bool:
        try:
            async with asyncio.timeout(2):
                return await ask_status(self.port, "/health/ready") == 200
        except (OSError, TimeoutError):
            return False

    async def wait_ready(self) -> None:
        await wait_until(self.is_ready, f"{self.process.name} to be ready", READY_WITHIN)

    async def stop(self) -> bool:
        """SIGTERM, as in a rolling restart; whether it went by itself."""
        self.process.signal(signal.SIGTERM)
        if await self.process.wait(EXIT_WITHIN):
            return True
        await self.process.kill()
        return False

    def freeze(self) -> None:
        self.process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.signal(signal.SIGCONT)


class Cluster:
    """PostgreSQL, Redis, servers, a worker and a scheduler, in one folder."""

    def __init__(self, folder: Path, servers: int, broken: str = "") -> None:
        database_port, redis_port, *ports = find_free_ports(2 + servers)
        self.folder = folder
        self.postgres = Postgres(folder, database_port)
        self.redis = RedisServer(folder, redis_port)
        self.variables = self._make_variables()
        entry = ["-m", "tests.faults.broken", broken] if broken else [str(ROOT / "run.py")]
        self.servers = [
            Server(self._make_process(f"server{n}", port), port, entry)
            for n, port in enumerate(ports)
        ]
        self.worker = self._make_process("worker")
        self.scheduler = self._make_process("scheduler")

    async def start(self) -> None:
        await asyncio.gather(self.postgres.start(), self.redis.start())
        first, *others = self.servers
        # The first one migrates.
        first.start()
        await first.wait_ready()
        for server in others:
            server.start()
        self.worker.start()
        self.scheduler.start()
        await asyncio.gather(*(server.wait_ready() for server in others))

    def heal(self) -> None:
        """Start what is dead and wake what is frozen."""
        self.redis.thaw()
        for server in self.servers:
            server.thaw()
            if not server.process.running:
                server.start()
        for process in (self.worker, self.scheduler):
            if not process.running:
                process.start()

    def reap(self) -> None:
        """Nothing of this may stay behind."""
        for server in self.servers:
            server.process.reap()
        for process in (self.worker, self.scheduler):
            process.reap()
        self.postgres.reap()
        self.redis.reap()

    def list_alarms(self) -> Iterator[str]:
        """Lines of level error, and tracebacks, in the logs of our own programs."""
        for process in (*(s.process for s in self.servers), self.worker, self.scheduler):
            if process.log.exists():
                for line in process.log.read_text(errors="replace").splitlines():
                    plain = _COLOURS.sub("", line)
                    if _ALARMING.search(plain):
                        yield f"{process.name}: {plain[:1000]}"

    def _make_variables(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "DATA_DIR": str(self.folder / "data"),
            "HOST": HOST,
            "PUBLIC_URL": f"http://{HOST}",
            "JWT_SECRET_KEY": secrets.token_hex(32),
            "INTERNAL_SECRET": secrets.token_hex(32),
            "ACCESS_TOKEN_EXPIRE_MINUTES": str(TOKEN_MINUTES),
            "RATE_LIMIT_SCALE": "0",
        }

    def _make_process(self, name: str, port: int = 0) -> Process:
        own = {"PORT": str(port), "INTERNAL_URL": f"http://{HOST}:{port}"} if port else {}
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **self.variables,
            **own,
        }
        command = [sys.executable, str(ROOT / "run.py"), name]
        return Process(name, command, folder=self.folder, environment=environment)


async def ask_status(port: int, path: str) -> int:
    """The status of one GET. Raises: OSError."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
    finally:
        writer.close()
    words = line.split()
    if len(words) < 2:
        raise ConnectionResetError("no answer")
    return int(words[1])


def write_lines(path: Path, rows: Iterator[object]) -> None:
    """Rows as lines of JSON."""
    with path.open("w") as file:
        for row in rows:
            file.write(json.dumps(row, default=str) + "\n")

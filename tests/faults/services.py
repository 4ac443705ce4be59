"""A PostgreSQL and a Redis of the run's own, to be restarted, frozen and emptied."""

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.faults.process import Process, wait_until

POSTGRES_USER = "postgres"
DATABASE = "emotrack"


class Postgres:
    """A cluster in a folder of its own; small, but it writes to the disk as in earnest."""

    def __init__(self, folder: Path, port: int) -> None:
        self._data = folder / "postgres"
        self._port = port
        self.url = f"postgresql://{POSTGRES_USER}@127.0.0.1:{port}/{DATABASE}"
        # PostgreSQL refuses to run as root.
        self._user = POSTGRES_USER if os.getuid() == 0 else None
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": str(port),
            "shared_buffers": "32MB",
            "max_connections": "100",
            "fsync": "on",
        }
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        self._process = Process(
            "postgresql",
            [find_program("postgres"), "-D", str(self._data), *settings],
            folder=folder,
            environment={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            user=self._user,
            dies_by=signal.SIGQUIT,
        )

    async def start(self) -> None:
        self._data.mkdir()
        if self._user:
            shutil.chown(self._data, self._user)
        command = [find_program("initdb"), "-D", str(self._data), "-U", POSTGRES_USER]
        await asyncio.to_thread(
            subprocess.run,
            [*command, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
            check=True,
            user=self._user,
            capture_output=True,
            cwd="/",
        )
        self._process.start()
        await wait_until(lambda: self._answers("postgres"), "PostgreSQL")
        connection = await asyncpg.connect(self.url.replace(DATABASE, "postgres"))
        await connection.execute(f"CREATE DATABASE {DATABASE}")
        await connection.close()

    async def restart(self, *, immediate: bool) -> None:
        """As `pg_ctl restart` does it, fast or immediate (like a crash: it recovers)."""
        self._process.signal(signal.SIGQUIT if immediate else signal.SIGINT)
        if not await self._process.wait():
            await self._process.kill()
        self._process.start()
        await wait_until(lambda: self._answers(DATABASE), "PostgreSQL")

    async def cut_connections(self) -> int:
        """End every session but our own; how many those were."""
        connection = await asyncpg.connect(self.url)
        try:
            ended = await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        finally:
            await connection.close()
        return len(ended)

    @property
    def id(self) -> int:
        return self._process.id

    def reap(self) -> None:
        self._process.reap()

    async def _answers(self, database: str) -> bool:
        try:
            connection = await asyncpg.connect(self.url.replace(DATABASE, database), timeout=2)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        await connection.close()
        return True


class RedisServer:
    """Keeps nothing: killed and started again it is empty."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self._process = Process(
            "redis",
            [find_program("redis-server"), *options],
            folder=folder,
            environment={"PATH": os.environ["PATH"]},
        )

    async def start(self) -> None:
        self._process.start()
        await wait_until(self._answers, "Redis")

    async def kill(self) -> None:
        await self._process.kill()

    def freeze(self) -> None:
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.signal(signal.SIGCONT)

    @property
    def id(self) -> int:
        return self._process.id

    def reap(self) -> None:
        self._process.reap()

    async def _answers(self) -> bool:
        try:
            async with Redis.from_url(self.url, socket_timeout=2) as redis:
                return bool(await redis.ping())
        except (RedisError, OSError):
            return False


def list_versions() -> list[str]:
    """What the programs say of themselves."""
    said = [
        subprocess.run(
            [find_program(program), "--version"], check=True, capture_output=True, text=True
        )
        for program in ("postgres", "redis-server")
    ]
    return [" ".join(one.stdout.split()[:3]).replace(" server v=", " ") for one in said]


def find_program(program: str) -> str:
    """Debian keeps the server's programs out of PATH. Raises: FileNotFoundError."""
    found = shutil.which(program)
    if found is None:
        places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
        if not places:
            raise FileNotFoundError(f"{program} is needed")
        found = str(places[-1])
    return found

"""run.py as operators run it: processes of their own, on the databases of a test."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from run import make_runtime
from server.settings import Settings
from tests.backend import Backend
from tests.instance import Instance

ROOT = Path(__file__).parents[1]
PARTS = ("server", "handlers", "storage", "jobs", "migrations", "docs")
FILES = ("run.py", "pyproject.toml", "README.md", ".env.example")
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of a command that could not."""
        assert self.code == 1, self
        (line,) = self.err.splitlines()
        assert line.startswith("run.py: "), self
        return line


class Served:
    """A server in another process; `instance` speaks to it and shares its databases."""

    def __init__(
        self, process: asyncio.subprocess.Process, announced: list[str], instance: Instance
    ) -> None:
        self.process = process
        self.announced = announced
        self.instance = instance

    async def stop(self) -> int:
        """Ask it to end; its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


class Shell:
    """Runs commands with the environment of a test and nothing else."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._environment = {
            "PATH": os.environ["PATH"],
            **backend.variables,
            "PORT": "0",
            "RATE_LIMIT_SCALE": "0",
        }

    async def run(
        self,
        *arguments: str,
        given: str = "",
        root: Path = ROOT,
        variables: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run a command to its end. `given` is its standard input."""
        process = await self._start(arguments, root, variables or {})
        try:
            out, err = await asyncio.wait_for(process.communicate(given.encode()), PATIENCE)
        finally:
            await _end(process)
        assert process.returncode is not None
        return Outcome(process.returncode, out.decode(), err.decode())

    async def do(self, *arguments: str, given: str = "", root: Path = ROOT) -> str:
        """What a command printed that must succeed."""
        outcome = await self.run(*arguments, given=given, root=root)
        assert outcome.code == 0, outcome
        return outcome.out.rstrip("\n")

    @asynccontextmanager
    async def serve(
        self, variables: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
    ) -> AsyncIterator[Served]:
        """A server that is ready."""
        process = await self._start(["serve", *arguments], ROOT, variables or {})
        try:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE):
                announced = [(await process.stdout.readline()).decode() for _ in range(2)]
            if not all(announced):
                raise AssertionError((await process.communicate())[1].decode())
            url = next(word for word in announced[0].split() if word.startswith("http"))
            settings = Settings(
                _env_file=None,
                database_url=self.backend.database_url,
                redis_url=self.backend.redis_url,
                data_dir=self.backend.data_dir,
            )
            runtime = make_runtime(settings)
            instance = Instance(runtime, url)
            try:
                yield Served(process, announced, instance)
            finally:
                await instance.close_clients()
                await runtime.close()
        finally:
            await _end(process)

    @asynccontextmanager
    async def start(
        self, *arguments: str, variables: Mapping[str, str] | None = None
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process that goes on until it is stopped, once it has said that it is ready."""
        process = await self._start(arguments, ROOT, variables or {})
        try:
            assert process.stdout is not None
            said = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
            if not said.endswith(b"ready\n"):
                raise AssertionError((await process.communicate())[1].decode())
            yield process
        finally:
            await _end(process)

    async def _start(
        self, arguments: Sequence[str], root: Path, variables: Mapping[str, str]
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            root / "run.py",
            *arguments,
            cwd=self.backend.data_dir,
            env={**self._environment, **variables},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()


def read_memory(process_id: int) -> int:
    """Kilobytes of a process that are in memory; Linux only."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def copy_project(folder: Path) -> Path:
    """The program and what it writes, to be changed at will."""
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder

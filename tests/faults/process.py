"""One program as a child that never outlives the run."""

import asyncio
import ctypes
import pwd
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

PATIENCE = 60.0
PAUSE = 0.05
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Process:
    """A command that may be started again and again; what it prints goes to its log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        user: str | None = None,
        dies_by: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._user = user
        self._dies_by = dies_by
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def id(self) -> int:
        assert self._popen is not None
        return self._popen.pid

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                cwd=self._folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._user,
                group=pwd.getpwnam(self._user).pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                preexec_fn=partial(die_with_parent, self._dies_by),  # noqa: PLW1509 - the child runs one system call
            )

    def signal(self, number: signal.Signals) -> None:
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(number)

    async def wait(self, patience: float = PATIENCE) -> bool:
        """Whether it ended within so many seconds."""
        if self._popen is None:
            return True
        try:
            await asyncio.to_thread(self._popen.wait, patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.wait()

    def reap(self) -> None:
        """Kill and wait, where no loop runs any more."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(signal.SIGCONT)
            self._popen.send_signal(self._dies_by)
            try:
                self._popen.wait(10)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Whatever ends the run, also a kill, is to end what it started."""
    _libc.prctl(_PR_SET_PDEATHSIG, by)


async def wait_until(
    holds: Callable[[], Awaitable[bool]], what: str, patience: float = PATIENCE
) -> None:
    """For what happens in other processes, which tell nobody. Raises: TimeoutError."""
    try:
        async with asyncio.timeout(patience):
            while not await holds():  # noqa: ASYNC110
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise TimeoutError(f"waited {patience:.0f} s in vain for {what}") from None


def find_free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports

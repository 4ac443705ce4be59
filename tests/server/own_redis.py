"""A Redis of a test's own, to be taken away and given back."""

import asyncio
import signal
import socket
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.server.trial import wait_until


class OwnRedis:
    """A redis-server process on a free port; it keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        arguments = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        self._process = await asyncio.create_subprocess_exec(
            "redis-server",
            *arguments,
            "--save",
            "",
            stdout=asyncio.subprocess.DEVNULL,
        )
        await wait_until(self._answers, "Redis is up")

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def kill_subscriptions(self) -> int:
        async with Redis.from_url(self.url) as redis:
            return int(await redis.client_kill_filter(_type="pubsub"))

    async def _answers(self) -> bool:
        try:
            async with Redis.from_url(self.url) as redis:
                return bool(await redis.ping())
        except RedisConnectionError:
            return False

"""Work that costs less one after the other than side by side."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class OneByOne:
    """Lets everybody in alone, but makes nobody wait for somebody slow."""

    def __init__(self, patience: float) -> None:
        """`patience` is the longest wait, in seconds."""
        self._patience = patience
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        is_alone = await self._wait()
        try:
            yield
        finally:
            if is_alone:
                self._lock.release()

    async def _wait(self) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                return await self._lock.acquire()
        except TimeoutError:
            return False

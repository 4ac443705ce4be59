"""Blocking work in a few threads of its own, so that it never holds up the event loop."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from server.errors import Unavailable

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Pool:
    """So many threads, and so much that may wait for them: more is refused at once."""

    def __init__(self, name: str, *, threads: int, max_waiting: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._max = threads + max_waiting
        self._taken = 0

    async def run(
        self, function: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Result:
        """What the function returns. Raises: Unavailable, and whatever the function does."""
        if self._taken >= self._max:
            raise Unavailable(retry_after=5)
        self._taken += 1
        loop = asyncio.get_running_loop()

        def leave(_: object) -> None:
            # The loop may be closed by now, and nobody counts any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._leave)

        work = self._threads.submit(function, *args, **kwargs)
        # A thread goes on when nobody waits any more: the place is free when *it* is done.
        work.add_done_callback(leave)
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self) -> None:
        self._taken -= 1

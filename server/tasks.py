"""Background tasks, and their end."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

PATIENCE = 1.0
"""Seconds before a task that goes on is told again."""


async def end_tasks(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel tasks until they are done: `wait_for` of Python 3.11 can swallow a cancellation."""
    going_on = set(tasks)
    while going_on:
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=PATIENCE)
    await asyncio.gather(*tasks, return_exceptions=True)


async def first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Wait for one of several works and end the others."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await end_tasks(tasks)

"""Waiting for what nobody announces, and letting time pass without waiting."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from sqlalchemy import func, select

from handlers.chat import unread
from handlers.chat.unread import settle_notifications
from jobs.scheduler import wake_overdue
from server import follow_ups
from storage.outbox import Job
from tests.instance import Instance

DEADLINE = 10.0
PAUSE = 0.02
Found = TypeVar("Found")


async def eventually(
    probe: Callable[[], Awaitable[Found]], what: str, *, patience: float = DEADLINE
) -> Found:
    """The first thing that the probe finds to be true."""
    try:
        async with asyncio.timeout(patience):
            while True:
                if found := await probe():
                    return found
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None


async def settled(server: Instance) -> None:
    """Until the notifications of chats have followed all that was done before this moment."""

    async def nothing_follows() -> bool:
        async with server.runtime.database.session(write=False) as db:
            left = select(func.count()).where(Job.job == settle_notifications.job.name)
            return (await db.execute(left)).scalar_one() == 0

    await eventually(nothing_follows, "notifications to follow their chats")


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what follows changes follow them sooner, where a test waits for it again and again."""
    monkeypatch.setattr(follow_ups, "REST", 0.05)
    monkeypatch.setattr(follow_ups, "LONGEST_REST", 0.2)
    monkeypatch.setattr(unread, "NEW", timedelta(seconds=0.1))


async def set_clock(server: Instance, *, ahead: timedelta) -> None:
    """Let the server live in the future; jobs that fall due there are done at once."""
    await settled(server)
    server.runtime.clock = lambda: datetime.now(UTC) + ahead
    await wake_overdue(server.runtime)

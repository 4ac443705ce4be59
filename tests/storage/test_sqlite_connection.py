"""A connection to SQLite ends, even when whoever ends it is cancelled."""

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.database import Database

pytestmark = pytest.mark.embedded


async def test_nobody_is_left_waiting_for_a_connection_whose_end_was_cancelled(
    tmp_path: Path,
) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/one.sqlite3")
    loop, others = asyncio.get_running_loop(), asyncio.all_tasks()
    held, may_go_on = asyncio.Event(), threading.Event()

    def hold() -> None:
        loop.call_soon_threadsafe(held.set)
        may_go_on.wait()

    async def read() -> None:
        async with database.session(write=False) as db:
            connection = await (await db.connection()).get_raw_connection()
            assert connection.driver_connection is not None
            await connection.driver_connection.create_function("hold", 0, hold)
            await db.execute(text("SELECT hold()"))

    reading = asyncio.create_task(read())
    await held.wait()
    reading.cancel()
    await asyncio.wait([reading], timeout=0.05)
    (closing,) = asyncio.all_tasks() - others - {reading}
    reading.cancel()
    await asyncio.wait([reading])
    may_go_on.set()
    async with asyncio.timeout(5):
        await asyncio.wait([closing])
    await database.close()

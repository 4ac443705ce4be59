"""Whether each part that the settings name works: for `run.py check`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple

from redis.asyncio import Redis
from sqlalchemy import text

from server import texts
from server.runtime import Runtime
from server.settings import Settings
from storage.upgrade import list_revisions

TIMEOUT = 10


class Mark(StrEnum):
    """How a part is. One that is to be warned of works, though not as it should."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(NamedTuple):
    mark: Mark
    part: str
    about: str


async def check_parts(runtime: Runtime) -> AsyncIterator[Finding]:
    """Try one part after the other; each has ten seconds to answer."""
    parts: dict[str, Callable[[], Awaitable[str]]] = {
        "database": lambda: _check_database(runtime),
        "redis": lambda: _check_redis(runtime.settings),
        "mail": runtime.mailer.check,
        "push": runtime.pusher.check,
        "ai": runtime.writer.check,
        "blobs": runtime.blobs.check,
    }
    for part, check in parts.items():
        yield await _try(part, check)
    yield _check_crisis_contacts(runtime.settings)


async def _try(part: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        async with asyncio.timeout(TIMEOUT):
            return Finding(Mark.OK, part, await check())
    except Exception as error:
        about = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return Finding(Mark.FAIL, part, about)


async def _check_database(runtime: Runtime) -> str:
    async with runtime.database.session(write=False) as db:
        revision = await db.scalar(text("SELECT version_num FROM alembic_version"))
    about = f"{runtime.database.url.get_backend_name()}, revision {revision}"
    latest, *earlier = await asyncio.to_thread(list_revisions)
    if revision in earlier:
        return f"{about}; what only the version before needs goes with `migrate --finish`"
    return about if revision == latest else f"{about}, of a later version"


async def _check_redis(settings: Settings) -> str:
    if settings.redis is None:
        return "not configured, a single instance keeps all in memory"
    async with Redis.from_url(settings.redis, socket_timeout=3) as redis:
        return f"Redis {(await redis.info('server'))['redis_version']}"


def _check_crisis_contacts(settings: Settings) -> Finding:
    """Nobody is to be sent to a number that we made up, so there may be none."""
    lacking = [locale for locale in texts.LOCALES if not settings.crisis_contacts.get(locale)]
    if not lacking:
        return Finding(Mark.OK, "crisis contacts", ", ".join(texts.LOCALES))
    about = f"none in {', '.join(lacking)}: people in need are told of the emergency number only"
    return Finding(Mark.WARN, "crisis contacts", about)

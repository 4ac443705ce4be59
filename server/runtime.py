"""What every process has, with or without sockets: database, bus, limits, keys and services."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from server.auth import Identity, Passwords, Tokens, find_identities
from server.blobs import Blobs, build_blobs
from server.bus import Bus
from server.bus.memory import MemoryBus
from server.bus.redis import RedisBus
from server.bus.seals import Seals
from server.cache import Cache, MemoryCache, RedisCache
from server.follow_ups import Following, LeftToWorkers
from server.limits import Limiter
from server.links import Links
from server.pool import Pool
from server.services import Mailer, OpenIdProvider, Pusher, Waker, Writer
from server.settings import Settings
from server.states import States
from server.together import Together
from storage.database import Database

IMAGE_THREADS = 2
"""An image of the largest size takes some 200 MB while it is decoded."""

MAX_IMAGES = 30
SESSIONS_AT_ONCE = 500


def read_clock() -> datetime:
    return datetime.now(UTC)


@dataclass
class Runtime:
    settings: Settings
    database: Database
    bus: Bus
    limits: Limiter
    passwords: Passwords
    tokens: Tokens
    mailer: Mailer
    pusher: Pusher
    writer: Writer
    states: States
    blobs: Blobs
    links: Links
    images: Pool
    cache: Cache
    google: OpenIdProvider | None = None
    clock: Callable[[], datetime] = read_clock
    waker: Waker | None = None
    follow_ups: Following = field(default_factory=LeftToWorkers)
    sessions: Together[int, Identity] = field(init=False)
    """Who is behind a living session."""

    def __post_init__(self) -> None:
        self.sessions = Together(self._find_identities, SESSIONS_AT_ONCE)

    async def _find_identities(self, session_ids: Sequence[int]) -> dict[int, Identity]:
        async with self.database.session(write=False) as db:
            return await find_identities(db, session_ids, self.clock())

    async def close(self) -> None:
        await self.states.close()
        await self.sessions.close()
        self.passwords.close()
        self.pusher.close()
        await self.writer.close()
        self.images.close()
        await self.blobs.close()
        await self.cache.close()
        await self.limits.close()
        await self.database.close()


def build_runtime(
    settings: Settings,
    mailer: Mailer,
    pusher: Pusher,
    writer: Writer,
    google: OpenIdProvider | None = None,
) -> Runtime:
    """The parts that the settings ask for; nothing is connected yet."""
    bus = _build_bus(settings)
    database = Database(settings.database)
    return Runtime(
        settings=settings,
        database=database,
        bus=bus,
        states=States(database, bus, read_clock),
        limits=Limiter(settings.rate_limit_scale, settings.redis, settings.deployment),
        passwords=Passwords(),
        blobs=build_blobs(settings),
        links=Links(settings.signing_keys, settings.public_url),
        images=Pool("images", threads=IMAGE_THREADS, max_waiting=MAX_IMAGES),
        cache=_build_cache(settings),
        tokens=Tokens(
            keys=settings.signing_keys,
            algorithm=settings.jwt_algorithm,
            minutes=settings.access_token_expire_minutes,
        ),
        mailer=mailer,
        pusher=pusher,
        writer=writer,
        google=google,
    )


def _build_bus(settings: Settings) -> Bus:
    if settings.redis is None:
        return MemoryBus()
    seals = Seals(settings.internal_keys)
    return RedisBus(settings.redis, settings.deployment, seals, settings.internal_address)


def _build_cache(settings: Settings) -> Cache:
    if settings.redis is None:
        return MemoryCache()
    return RedisCache(settings.redis, settings.deployment, Seals(settings.internal_keys))

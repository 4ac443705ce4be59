"""What every process has, with or without sockets: database, bus, limits, keys and services."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from server.auth import Passwords, Tokens
from server.bus import Bus
from server.bus.memory import MemoryBus
from server.bus.redis import RedisBus
from server.limits import Limiter
from server.services import Mailer, OpenIdProvider, Waker
from server.settings import Settings
from server.states import States
from storage.database import Database


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
    states: States
    google: OpenIdProvider | None = None
    clock: Callable[[], datetime] = read_clock
    waker: Waker | None = None

    async def close(self) -> None:
        await self.states.close()
        self.passwords.close()
        await self.limits.close()
        await self.database.close()


def build_runtime(
    settings: Settings, mailer: Mailer, google: OpenIdProvider | None = None
) -> Runtime:
    """The parts that the settings ask for; nothing is connected yet."""
    bus = RedisBus(settings.redis, settings.deployment) if settings.redis else MemoryBus()
    database = Database(settings.database)
    return Runtime(
        settings=settings,
        database=database,
        bus=bus,
        states=States(database, bus, read_clock),
        limits=Limiter(settings.rate_limit_scale, settings.redis, settings.deployment),
        passwords=Passwords(),
        tokens=Tokens(
            keys=settings.signing_keys,
            algorithm=settings.jwt_algorithm,
            minutes=settings.access_token_expire_minutes,
        ),
        mailer=mailer,
        google=google,
    )

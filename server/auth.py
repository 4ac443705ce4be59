"""Who is asking: passwords, access tokens, and the session behind them."""

import hashlib
import itertools
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated

import jwt
from passlib.context import CryptContext
from pydantic import Field as Bounds
from sqlalchemy.ext.asyncio import AsyncSession

from server.errors import TokenExpired, Unauthenticated
from server.payload import Id, Payload
from server.pool import Pool
from storage import accounts
from storage.accounts import Role, Status

ISSUER = "emotrack"
NOBODYS_HASH = "$2b$12$j9ySIdwdT5MLPP.r7LHXWupTDvYP/FI6lsOng4S37jBPdE9pnnxji"
"""Compared with when there is no account, at the cost of a real comparison."""

MAX_KNOWN_TOKENS = 5000
HASHING_THREADS = 2
MAX_WAITING = 64
"""Passwords that may wait for a thread; at a quarter of a second each, more would time out."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A signed-in person, as far as the kernel cares."""

    id: int
    role: Role
    session_id: int
    locale: str
    pending: bool = False


class Stated(Payload, extra="ignore"):
    """What a token must say, in exactly these types: `int()` would read much more into it."""

    sub: Annotated[str, Bounds(pattern=r"^[1-9][0-9]{0,15}$")]
    sid: Id
    exp: int


@dataclass(frozen=True, slots=True)
class Claims:
    user_id: int
    session_id: int
    expires_at: datetime


class Passwords:
    """bcrypt in a few threads of its own, so that sign-ins never hold up the event loop."""

    def __init__(self) -> None:
        self._context = CryptContext(schemes=["bcrypt"], bcrypt__truncate_error=True)
        self._pool = Pool("bcrypt", threads=HASHING_THREADS, max_waiting=MAX_WAITING)

    async def hash(self, password: str) -> str:
        return str(await self._pool.run(self._context.hash, password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password is right; takes as long where there is none to compare with."""
        if len(password.encode()) > 72 or "\0" in password:
            # bcrypt would refuse it, so it is nobody's password.
            password, stored = "", None
        if stored is None:
            await self._pool.run(self._context.verify, password, NOBODYS_HASH)
            return False
        return bool(await self._pool.run(self._context.verify, password, stored))

    def close(self) -> None:
        self._pool.close()


class Tokens:
    """Access tokens: JWTs signed with the first key, accepted under any of them."""

    def __init__(self, *, keys: list[str], algorithm: str, minutes: float) -> None:
        self._keys = keys
        self._algorithm = algorithm
        self.lifetime = timedelta(minutes=minutes)
        # Each namespace of a connection brings it again.
        self._verify_once = lru_cache(maxsize=MAX_KNOWN_TOKENS)(self._verify)

    def issue(self, *, user_id: int, role: str, session_id: int, at: datetime, jti: str) -> str:
        """The token is a function of these values alone: a repeated refresh gets it again."""
        claims = {
            "iss": ISSUER,
            "sub": str(user_id),
            "sid": session_id,
            "role": role,
            "iat": int(at.timestamp()),
            "exp": int((at + self.lifetime).timestamp()),
            "jti": jti,
        }
        return jwt.encode(claims, self._keys[0], self._algorithm)

    def read(self, token: str) -> Claims:
        """Raises: Unauthenticated, TokenExpired."""
        claims = self._verify_once(token)
        if claims.expires_at <= datetime.now(UTC):
            raise TokenExpired
        return claims

    def _verify(self, token: str) -> Claims:
        for key in self._keys:
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=[self._algorithm],
                    issuer=ISSUER,
                    # The clock of the instance that issued it may be a little ahead.
                    options={"require": ["exp", "iat", "sub", "jti", "iss"], "verify_iat": False},
                )
                stated = Stated.model_validate(claims)
                return Claims(
                    user_id=int(stated.sub),
                    session_id=stated.sid,
                    expires_at=datetime.fromtimestamp(stated.exp, UTC),
                )
            except jwt.ExpiredSignatureError:
                raise TokenExpired from None
            except jwt.InvalidSignatureError:
                continue
            except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
                break
        raise Unauthenticated

    def seal(self, purpose: str, parts: list[str], lifetime: timedelta, now: datetime) -> str:
        """Values for a client to bring back unchanged, signed and good for a while."""
        claims = {"aud": purpose, "parts": parts, "exp": int((now + lifetime).timestamp())}
        return jwt.encode(claims, self._keys[0], self._algorithm)

    def unseal(self, purpose: str, sealed: str) -> list[str] | None:
        for key in self._keys:
            try:
                claims = jwt.decode(sealed, key, algorithms=[self._algorithm], audience=purpose)
                return [str(part) for part in claims["parts"]]
            except (jwt.InvalidTokenError, KeyError):
                continue
        return None

    def derive(self, purpose: str, *parts: str) -> str:
        """An unguessable token that the same parts give again; nothing needs to keep it."""
        return self.derive_each(purpose, *parts)[0]

    def derive_each(self, purpose: str, *parts: str) -> list[str]:
        """What the same parts give under every key: one of them signed when it was first told."""
        text = "\0".join((purpose, *parts)).encode()
        keys = (key.encode()[:64] for key in self._keys)
        return [hashlib.blake2b(text, key=key).hexdigest() for key in keys]


def new_token() -> str:
    return secrets.token_urlsafe(32)


def new_id() -> str:
    """Nobody can guess it."""
    return secrets.token_hex(16)


_process, _numbers = secrets.token_hex(8), itertools.count(1)


def next_id() -> str:
    """Nobody else's, but no secret: for what goes by in thousands, where randomness costs."""
    return f"{_process}{next(_numbers):016x}"


def hash_token(token: str) -> str:
    """What is stored of a random token: it has enough entropy for a plain SHA-256."""
    return hashlib.sha256(token.encode()).hexdigest()


async def find_identities(
    db: AsyncSession, session_ids: Collection[int], now: datetime
) -> dict[int, Identity]:
    """The people behind those of these sessions that still live."""
    return {
        found.session_id: Identity(
            id=found.user_id,
            role=Role(found.role),
            session_id=found.session_id,
            locale=found.locale,
            pending=found.status == Status.PENDING,
        )
        for found in await accounts.find_live_sessions(db, session_ids, now)
    }

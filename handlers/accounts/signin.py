"""Signing up, in and out: sessions and the tokens that carry them."""

from datetime import datetime, timedelta

from handlers.accounts.declared import account, welcome
from handlers.accounts.passwords import check_password
from handlers.accounts.payloads import (
    ClientCredentials,
    Login,
    Refresh,
    Register,
    Registered,
    Session,
    User,
)
from handlers.accounts.returning import come_back
from server.auth import hash_token, new_id, new_token
from server.bodies import Cookie, Reply
from server.context import Context
from server.contract import EVERYONE, PUBLIC
from server.errors import BadCredentials, EmailTaken, Error, Unauthenticated
from server.limits import Rate
from server.payload import Nothing
from storage import accounts
from storage.accounts import RefreshToken, Role, Status

REFRESH_COOKIE = "refresh_token"
COOKIE_PATH = "/auth"
REPEAT_WITHIN = timedelta(minutes=1)
"""How long a lost answer to a refresh may be asked for again."""

ADDRESS_RATE = Rate(60, per=60)
ACCOUNT_RATE = Rate(10, per=300)


@account.route("POST", "/auth/register", roles=PUBLIC, rate=ADDRESS_RATE, status=201)
async def register(ctx: Context, request: Register) -> Session:
    """Open an account and sign in. A psychologist works after an operator's approval.

    Raises: email_taken.
    """
    check_password(request.password, request.email)
    password_hash = await ctx.runtime.passwords.hash(request.password)
    role = Role(request.role)
    user = await accounts.add_user(
        ctx.db,
        email=request.email,
        password_hash=password_hash,
        name=request.name or request.email.partition("@")[0],
        role=role,
        status=Status.PENDING if role == Role.PSYCHOLOGIST else Status.ACTIVE,
        locale=ctx.locale,
        now=ctx.now,
    )
    if user is None:
        raise EmailTaken
    ctx.audit("account.registered", subject_id=user.id, role=user.role)
    ctx.enqueue(welcome, Registered(user_id=user.id))
    return (await open_session(ctx, user)).body


@account.route("POST", "/auth/login", roles=PUBLIC, rate=ADDRESS_RATE)
async def login(ctx: Context, request: Login) -> Reply[Session]:
    """Sign in. An unknown address gets the same answer in the same time as a wrong password.

    An account that was deactivated less than 30 days ago is in use again.

    Raises: bad_credentials, rate_limited.
    """
    await ctx.throttle(ACCOUNT_RATE, "login", request.email)
    async with ctx.work() as work:
        user = await accounts.find_user(work.db, request.email)
    stored = user.password_hash if user else None
    is_right = await ctx.runtime.passwords.verify(request.password, stored)
    async with ctx.work() as work:
        admitted = await come_back(work, user) if user is not None and is_right else None
        if admitted is None:
            work.audit("account.sign_in_refused", subject_id=user.id if user else None)
    if admitted is None:
        raise BadCredentials
    return await open_session(ctx, admitted, in_cookie=request.cookie)


@account.route("POST", "/auth/refresh", roles=PUBLIC, rate=ADDRESS_RATE)
async def refresh(ctx: Context, request: Refresh) -> Reply[Session]:
    """Trade a refresh token (or its cookie) for the next one and a new access token.

    A token is good once. The same one with the same `client_ref` within a minute gets the same
    answer, because the first may have been lost; any other reuse ends the whole session.

    Raises: unauthenticated.
    """
    token = request.refresh_token or ctx.caller.cookies.get(REFRESH_COOKIE)
    if not token:
        raise Unauthenticated
    ref = str(request.client_ref) if request.client_ref else None
    async with ctx.work() as work:
        answer = await _rotate(work, token, ref, in_cookie=request.refresh_token is None)
    if isinstance(answer, Error):
        raise answer
    return answer


@account.route("POST", "/auth/logout", roles=EVERYONE, rate=ADDRESS_RATE, status=204)
async def logout(ctx: Context, request: Nothing) -> Reply[None]:
    """End this session, its tokens and its sockets."""
    await end_sessions(ctx, ctx.user.id, only=ctx.user.session_id)
    ctx.audit("account.signed_out", subject_id=ctx.user.id)
    return Reply(None, cookies=(Cookie(REFRESH_COOKIE, "", COOKIE_PATH, max_age=0),))


@account.route("POST", "/auth/token", roles=PUBLIC, rate=ADDRESS_RATE)
async def sign_in_server(ctx: Context, request: ClientCredentials) -> Session:
    """Sign in a partner's server with its API key; it asks again instead of refreshing.

    Raises: bad_credentials, rate_limited.
    """
    await ctx.throttle(ADDRESS_RATE, "token", request.client_id)
    secret_hash = hash_token(request.client_secret)
    user = await accounts.find_api_key_owner(ctx.db, request.client_id, secret_hash)
    if user is None:
        raise BadCredentials
    lifetime = ctx.runtime.tokens.lifetime
    session = await _add_session(ctx, user, lifetime)
    return _describe(ctx, user, session.id, at=ctx.now, jti=new_id(), refresh_token=None)


async def open_session(
    ctx: Context, user: accounts.User, *, in_cookie: bool = False
) -> Reply[Session]:
    """A new session with its first tokens."""
    session = await _add_session(ctx, user, _lifetime(ctx))
    return await _issue(ctx, user, session.id, in_cookie=in_cookie)


async def renew_session(
    ctx: Context, user: accounts.User, session_id: int, *, in_cookie: bool
) -> Reply[Session]:
    """New tokens for a session that goes on; its older refresh tokens are spent."""
    await accounts.spend_refresh_tokens(ctx.db, session_id, ctx.now)
    return await _issue(ctx, user, session_id, in_cookie=in_cookie)


async def end_sessions(
    ctx: Context, user_id: int, *, only: int | None = None, but: int | None = None
) -> list[int]:
    """End a person's sessions (one, or all but one) and cut their sockets everywhere."""
    ended = await accounts.end_sessions(ctx.db, user_id, only=only, but=but)
    ctx.cut(user_id, ended)
    return ended


async def _rotate(
    ctx: Context, token: str, ref: str | None, *, in_cookie: bool
) -> Reply[Session] | Error:
    """The next tokens, or an error that must not undo what was done about a stolen one."""
    token_hash = hash_token(token)
    is_first = await accounts.use_refresh_token(ctx.db, token_hash, ref, ctx.now)
    row = await accounts.get_refresh_token(ctx.db, token_hash)
    if row is None or row.used_at is None:
        return Unauthenticated()
    found = await accounts.get_live_session(ctx.db, row.session_id, ctx.now)
    if found is None:
        return Unauthenticated()
    session, user = found
    if not is_first and not _is_repeat(row, ref, ctx.now):
        await end_sessions(ctx, user.id, only=session.id)
        ctx.audit("account.token_reused", subject_id=user.id, session_id=session.id)
        return Unauthenticated()
    following = await _choose_following(ctx, token, ref, is_first=is_first)
    if is_first:
        await accounts.add_refresh_token(
            ctx.db, hash_token(following), session.id, ctx.now, _lifetime(ctx)
        )
    return _carry(ctx, user, session.id, following, at=row.used_at, in_cookie=in_cookie)


async def _choose_following(ctx: Context, token: str, ref: str | None, *, is_first: bool) -> str:
    """The next refresh token; for a repeat the one told before, though the key may have changed."""
    if ref is None:
        return new_token()
    derived = ctx.runtime.tokens.derive_each("refresh", token, ref)
    for candidate in () if is_first else derived:
        if await accounts.get_refresh_token(ctx.db, hash_token(candidate)) is not None:
            return candidate
    return derived[0]


def _is_repeat(row: RefreshToken, ref: str | None, now: datetime) -> bool:
    return (
        ref is not None
        and row.client_ref == ref
        and row.used_at is not None
        and now - row.used_at <= REPEAT_WITHIN
    )


async def _add_session(ctx: Context, user: accounts.User, lifetime: timedelta) -> accounts.Session:
    session = await accounts.add_session(
        ctx.db,
        user.id,
        user_agent=ctx.caller.user_agent,
        address=ctx.caller.address,
        now=ctx.now,
        lifetime=lifetime,
    )
    ctx.audit("account.signed_in", subject_id=user.id, session_id=session.id)
    return session


async def _issue(
    ctx: Context, user: accounts.User, session_id: int, *, in_cookie: bool
) -> Reply[Session]:
    """A fresh refresh token, derived from none before it, and what goes with it."""
    token = new_token()
    await accounts.add_refresh_token(ctx.db, hash_token(token), session_id, ctx.now, _lifetime(ctx))
    return _carry(ctx, user, session_id, token, at=ctx.now, in_cookie=in_cookie)


def _carry(
    ctx: Context,
    user: accounts.User,
    session_id: int,
    token: str,
    *,
    at: datetime,
    in_cookie: bool,
) -> Reply[Session]:
    """The session as an answer; the refresh token goes into its body or into a cookie."""
    jti = ctx.runtime.tokens.derive("access", token)[:32]
    shown = None if in_cookie else token
    body = _describe(ctx, user, session_id, at=at, jti=jti, refresh_token=shown)
    if not in_cookie:
        return Reply(body)
    seconds = int(_lifetime(ctx).total_seconds())
    return Reply(body, cookies=(Cookie(REFRESH_COOKIE, token, COOKIE_PATH, max_age=seconds),))


def _describe(
    ctx: Context,
    user: accounts.User,
    session_id: int,
    *,
    at: datetime,
    jti: str,
    refresh_token: str | None,
) -> Session:
    tokens = ctx.runtime.tokens
    return Session(
        user=User.of(user, ctx.link),
        access_token=tokens.issue(
            user_id=user.id, role=user.role, session_id=session_id, at=at, jti=jti
        ),
        refresh_token=refresh_token,
        expires_in=int(tokens.lifetime.total_seconds()),
    )


def _lifetime(ctx: Context) -> timedelta:
    return timedelta(days=ctx.runtime.settings.refresh_token_expire_days)

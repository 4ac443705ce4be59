"""Leaving: for a while, or for good."""

from datetime import timedelta

from handlers.accounts import account
from handlers.accounts.declared import expire
from handlers.accounts.payloads import Expire
from handlers.accounts.returning import KEPT_FOR
from handlers.accounts.signin import (
    ACCOUNT_RATE,
    ADDRESS_RATE,
    COOKIE_PATH,
    REFRESH_COOKIE,
    end_sessions,
)
from handlers.leaving.declared import erase
from handlers.leaving.payloads import Erase, Leave
from server import texts
from server.bodies import Cookie, Reply
from server.context import Context
from server.contract import EVERYONE
from server.errors import BadCredentials, Unauthenticated
from storage import accounts, leaving
from storage.accounts import MAY_SIGN_IN, Status

FRESH = timedelta(minutes=10)
"""How long somebody without a password has just signed in."""


@account.route("DELETE", "/account", roles=EVERYONE, rate=ADDRESS_RATE, status=204)
async def deactivate(ctx: Context, request: Leave) -> Reply[None]:
    """Leave for a while: signing in within 30 days restores everything, then it is erased.

    Every session ends, and so do its sockets. Who has no password (but Google) gives null for it,
    and must have signed in within the last ten minutes.

    Raises: bad_credentials, rate_limited.
    """
    await _prove(ctx, request.password)
    user = await accounts.lock_user(ctx.db, ctx.user.id)
    if user.status not in MAY_SIGN_IN:
        raise Unauthenticated
    await leaving.add_departure(ctx.db, user.id, user.status, ctx.now)
    await accounts.update_user(ctx.db, user.id, status=Status.DEACTIVATED)
    await end_sessions(ctx, user.id)
    about = Expire(user_id=user.id)
    ctx.enqueue(expire, about, key=str(user.id), delay=KEPT_FOR, move=True)
    ctx.audit("account.deactivated", subject_id=user.id)
    return _signed_out()


@account.route("DELETE", "/account/data", roles=EVERYONE, rate=ADDRESS_RATE, status=202)
async def erase_account(ctx: Context, request: Leave) -> Reply[None]:
    """Erase everything now, for ever; the address may register anew at once.

    Sessions and sockets end, and the name is gone, with this answer; everything else, also what
    others have of it, goes within moments. A letter says when it is done. Who has no password
    (but Google) gives null for it, and must have signed in within the last ten minutes.

    Raises: bad_credentials, rate_limited.
    """
    await _prove(ctx, request.password)
    if not await begin_erasure(ctx, ctx.user.id):
        raise Unauthenticated
    return _signed_out()


async def expire_departure(ctx: Context, user_id: int) -> None:
    """Erase an account that nobody came back to; one that was blocked meanwhile is kept."""
    user = await leaving.lock_leaver(ctx.db, user_id)
    if user is None or user.status != Status.DEACTIVATED:
        return
    departure = await leaving.get_departure(ctx.db, user_id)
    if departure is not None and departure.at <= ctx.now - KEPT_FOR:
        await begin_erasure(ctx, user_id)


async def begin_erasure(ctx: Context, user_id: int) -> bool:
    """Let nobody in any more, and show nobody who it was; False if that was done before.

    It takes a few statements, however much there is; the job does the rest.
    """
    user = await leaving.lock_leaver(ctx.db, user_id)
    if user is None:
        return False
    erasure = await leaving.add_erasure(
        ctx.db, user_id, email=user.email, locale=user.locale, now=ctx.now
    )
    await leaving.blank_person(ctx.db, user_id, texts.get("account.erased_name", user.locale))
    await end_sessions(ctx, user_id)
    await leaving.delete_credentials(ctx.db, user_id)
    ctx.enqueue(erase, Erase(erasure_id=erasure.id), key=str(erasure.id))
    ctx.audit("account.erasure_begun", subject_id=user_id)
    return True


async def _prove(ctx: Context, password: str | None) -> None:
    """Raises: BadCredentials, RateLimited, Unauthenticated."""
    await ctx.throttle(ACCOUNT_RATE, "password", str(ctx.user.id))
    async with ctx.work() as work:
        found = await accounts.get_live_session(work.db, ctx.user.session_id, ctx.now)
    if found is None:
        raise Unauthenticated
    session, user = found
    if user.password_hash is None:
        is_proved = password is None and ctx.now - session.created_at <= FRESH
    else:
        is_proved = password is not None and await ctx.runtime.passwords.verify(
            password, user.password_hash
        )
    if not is_proved:
        async with ctx.work() as work:
            work.audit("account.leaving_refused", subject_id=user.id)
        raise BadCredentials


def _signed_out() -> Reply[None]:
    return Reply(None, cookies=(Cookie(REFRESH_COOKIE, "", COOKIE_PATH, max_age=0),))

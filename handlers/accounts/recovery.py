"""Passwords: changing a known one, replacing a lost one."""

from datetime import datetime, timedelta

from handlers.accounts.declared import account, mail_recovery
from handlers.accounts.passwords import check_password
from handlers.accounts.payloads import (
    ChangePassword,
    ForgotPassword,
    RecoveryMail,
    ResetPassword,
    Session,
)
from handlers.accounts.signin import ACCOUNT_RATE, ADDRESS_RATE, end_sessions, renew_session
from server.auth import hash_token
from server.bodies import Reply
from server.context import Context
from server.contract import EVERYONE, PUBLIC
from server.errors import BadCredentials, Invalid, Unauthenticated
from server.limits import Rate
from storage import accounts

RESET_LIFETIME = timedelta(minutes=30)


@account.route("POST", "/auth/forgot-password", roles=PUBLIC, rate=ADDRESS_RATE, status=202)
async def forgot_password(ctx: Context, request: ForgotPassword) -> None:
    """Send a link to this address if somebody has it; the answer is always the same.

    Raises: rate_limited.
    """
    await ctx.throttle(Rate(5, per=900), "forgot", request.email)
    ctx.enqueue(
        mail_recovery,
        RecoveryMail(email=request.email, locale=ctx.locale),
        key=request.email,
    )


@account.route("POST", "/auth/reset-password", roles=PUBLIC, rate=ADDRESS_RATE, status=204)
async def reset_password(ctx: Context, request: ResetPassword) -> None:
    """Set a new password with the token from the mail: once, within 30 minutes.

    Every session ends.
    """
    token_hash = hash_token(request.token)
    async with ctx.work() as work:
        owner = await accounts.find_reset_owner(work.db, token_hash, work.now)
    if owner is None:
        raise _bad_token()
    check_password(request.password, owner.email)
    password_hash = await ctx.runtime.passwords.hash(request.password)
    if await accounts.use_reset_token(ctx.db, token_hash, ctx.now) is None:
        raise _bad_token()
    await _set_password(ctx, owner.id, password_hash, email_verified_at=ctx.now)
    await end_sessions(ctx, owner.id)
    ctx.audit("account.password_reset", subject_id=owner.id)


@account.route("PUT", "/account/password", roles=EVERYONE, rate=ADDRESS_RATE)
async def change_password(ctx: Context, request: ChangePassword) -> Reply[Session]:
    """Change the password. Every other session ends; this one goes on with new tokens.

    Raises: bad_credentials, rate_limited.
    """
    await ctx.throttle(ACCOUNT_RATE, "password", str(ctx.user.id))
    async with ctx.work() as work:
        user = await accounts.get_user(work.db, ctx.user.id)
    if user is None:
        raise Unauthenticated
    if not await ctx.runtime.passwords.verify(request.current, user.password_hash):
        raise BadCredentials
    check_password(request.new, user.email, path="new")
    password_hash = await ctx.runtime.passwords.hash(request.new)
    await _set_password(ctx, user.id, password_hash)
    await end_sessions(ctx, user.id, but=ctx.user.session_id)
    ctx.audit("account.password_changed", subject_id=user.id)
    return await renew_session(ctx, user, ctx.user.session_id, in_cookie=request.cookie)


async def _set_password(ctx: Context, user_id: int, password_hash: str, **proved: datetime) -> None:
    """Every link that was sent for another password is worthless from now on."""
    await accounts.update_user(ctx.db, user_id, password_hash=password_hash, **proved)
    await accounts.spend_reset_tokens(ctx.db, user_id, ctx.now)


def _bad_token() -> Invalid:
    return Invalid.of("token", "not_valid", "The link was used before or has run out")

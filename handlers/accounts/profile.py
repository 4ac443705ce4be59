"""The person's own profile, settings and sessions."""

from handlers.accounts.declared import account, profile_updated, settings_updated
from handlers.accounts.payloads import (
    EndSession,
    ListSessions,
    SessionInfo,
    Settings,
    UpdateProfile,
    UpdateSettings,
    User,
)
from handlers.accounts.signin import end_sessions
from server.context import Context
from server.contract import EVERYONE
from server.errors import NotFound
from server.limits import Rate
from server.payload import Nothing, Page
from storage import accounts

READ_RATE = Rate(60, per=10)
CHANGE_RATE = Rate(20, per=10)


@account.on("profile:get", roles=EVERYONE, rate=READ_RATE, reads=True)
async def get_profile(ctx: Context, request: Nothing) -> User:
    """The person's own profile."""
    return User.of(await access_user(ctx, ctx.user.id))


@account.on("profile:update", roles=EVERYONE, rate=CHANGE_RATE)
async def update_profile(ctx: Context, request: UpdateProfile) -> User:
    """Change the profile; what is left out or null stays as it is."""
    changes = request.model_dump(exclude={"client_ref"}, exclude_none=True)
    if not changes:
        return User.of(await access_user(ctx, ctx.user.id))
    profile = User.of(await accounts.update_user(ctx.db, ctx.user.id, **changes))
    ctx.push(profile_updated, profile, to=[ctx.user.id])
    return profile


@account.on("settings:get", roles=EVERYONE, rate=READ_RATE, reads=True)
async def get_settings(ctx: Context, request: Nothing) -> Settings:
    """What the person wants to be sent."""
    user = await access_user(ctx, ctx.user.id)
    return Settings(push_enabled=user.push_enabled)


@account.on("settings:update", roles=EVERYONE, rate=CHANGE_RATE)
async def update_settings(ctx: Context, request: UpdateSettings) -> Settings:
    """Switch push messages on or off."""
    user = await accounts.update_user(ctx.db, ctx.user.id, push_enabled=request.push_enabled)
    settings = Settings(push_enabled=user.push_enabled)
    ctx.push(settings_updated, settings, to=[ctx.user.id])
    return settings


@account.on("session:list", roles=EVERYONE, rate=READ_RATE, reads=True)
async def list_sessions(ctx: Context, request: ListSessions) -> Page[SessionInfo]:
    """Where the person is signed in, newest first."""
    rows, total = await accounts.list_live_sessions(
        ctx.db, ctx.user.id, ctx.now, skip=request.skip, limit=request.limit
    )
    items = [
        SessionInfo(
            id=row.id,
            current=row.id == ctx.user.session_id,
            user_agent=row.user_agent,
            address=row.address,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
        )
        for row in rows
    ]
    return Page[SessionInfo].of(request, items, total)


@account.on("session:end", roles=EVERYONE, rate=CHANGE_RATE)
async def end_session(ctx: Context, request: EndSession) -> Nothing:
    """Sign out somewhere else (or here): tokens and sockets of that session end.

    Raises: not_found.
    """
    if not await end_sessions(ctx, ctx.user.id, only=request.session_id):
        raise NotFound
    ctx.audit("account.session_ended", subject_id=ctx.user.id, session_id=request.session_id)
    return Nothing()


async def access_user(ctx: Context, user_id: int) -> accounts.User:
    """The user's row. Raises: NotFound."""
    user = await accounts.get_user(ctx.db, user_id)
    if user is None:
        raise NotFound
    return user

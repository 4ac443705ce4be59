"""The person's own profile, settings and sessions."""

from handlers.accounts.declared import account, profile_updated
from handlers.accounts.moving import move
from handlers.accounts.payloads import (
    EndSession,
    ListSessions,
    SessionInfo,
    UpdateProfile,
    User,
)
from handlers.accounts.settings import plan_digest
from handlers.accounts.signin import end_sessions
from handlers.uploads import Purpose, attach, discard
from server.context import Context
from server.contract import EVERYONE
from server.errors import NotFound
from server.limits import Rate
from server.payload import Nothing, Page
from storage import accounts
from storage.accounts import Status

READ_RATE = Rate(60, per=10)
CHANGE_RATE = Rate(20, per=10)


@account.on("profile:get", roles=EVERYONE, rate=READ_RATE, reads=True)
async def get_profile(ctx: Context, request: Nothing) -> User:
    """The person's own profile."""
    return User.of(await access_user(ctx, ctx.user.id), ctx.link)


@account.on("profile:update", roles=EVERYONE, rate=CHANGE_RATE)
async def update_profile(ctx: Context, request: UpdateProfile) -> User:
    """Change the profile; what is left out stays as it is.

    Raises: invalid, not_found.
    """
    changes = request.model_dump(exclude={"client_ref", "avatar_upload_id"}, exclude_none=True)
    if "avatar_upload_id" in request.model_fields_set:
        changes["avatar_upload_id"] = await _change_avatar(ctx, request.avatar_upload_id)
    if not changes:
        return User.of(await access_user(ctx, ctx.user.id), ctx.link)
    row = await accounts.update_user(ctx.db, ctx.user.id, **changes)
    if row.status == Status.ERASED:
        # This was under way when they left.
        raise NotFound
    if request.time_zone is not None:
        plan_digest(ctx, row)
        await move(ctx, row)
    profile = User.of(row, ctx.link)
    ctx.push(profile_updated, profile, to=[ctx.user.id])
    return profile


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


async def _change_avatar(ctx: Context, upload_id: int | None) -> int | None:
    """The new picture is put to use; the one before is gone."""
    before = await accounts.lock_user(ctx.db, ctx.user.id)
    if upload_id == before.avatar_upload_id:
        return upload_id
    if upload_id is not None:
        await attach(ctx, ctx.user.id, [upload_id], Purpose.AVATAR, field="avatar_upload_id")
    if before.avatar_upload_id is not None:
        await discard(ctx, [before.avatar_upload_id])
    return upload_id


async def access_user(ctx: Context, user_id: int) -> accounts.User:
    """The user's row. Raises: NotFound."""
    user = await accounts.get_user(ctx.db, user_id)
    if user is None:
        raise NotFound
    return user

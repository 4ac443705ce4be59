"""Coming back: who deactivated their account may sign in again for a while."""

from datetime import timedelta

from handlers.accounts.declared import expire
from server.context import Context
from storage import accounts, leaving
from storage.accounts import MAY_SIGN_IN, Status

KEPT_FOR = timedelta(days=30)
"""How long a deactivated account is there to come back to."""

MAY_COME_BACK = (*MAY_SIGN_IN, Status.DEACTIVATED)


async def come_back(ctx: Context, user: accounts.User) -> accounts.User | None:
    """The person who has just proved to be this one; None if they may not sign in.

    An account that was deactivated less than 30 days ago is again as it was before.
    """
    if user.status == Status.DEACTIVATED:
        # As it is now: an operator may have blocked it, or another device come back.
        user = await accounts.lock_user(ctx.db, user.id)
    if user.status != Status.DEACTIVATED:
        return user if user.status in MAY_SIGN_IN else None
    status = await leaving.take_departure(ctx.db, user.id, ctx.now - KEPT_FOR)
    if status is None:
        return None
    ctx.cancel(expire, key=str(user.id))
    ctx.audit("account.restored", subject_id=user.id)
    return await accounts.update_user(ctx.db, user.id, status=status)

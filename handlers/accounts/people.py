"""What operators do with other people's accounts."""

from handlers.accounts.passwords import check_password
from handlers.accounts.payloads import NewPerson, Session, User
from handlers.accounts.signin import end_sessions, open_session
from server.auth import hash_token, new_token
from server.calls import validate
from server.context import Context
from server.errors import EmailTaken, Forbidden, NotFound
from storage import accounts
from storage.accounts import MAY_SIGN_IN, Role, Status


async def create_user(
    ctx: Context, email: str, role: Role, name: str, password: str | None
) -> User:
    """A new account, active at once. Raises: EmailTaken, Invalid."""
    new = validate(NewPerson, {"email": email, "name": name})
    password_hash = None
    if password is not None:
        check_password(password, new.email)
        password_hash = await ctx.runtime.passwords.hash(password)
    user = await accounts.add_user(
        ctx.db,
        email=new.email,
        password_hash=password_hash,
        name=new.name,
        role=role,
        status=Status.ACTIVE,
        locale=ctx.locale,
        now=ctx.now,
    )
    if user is None:
        raise EmailTaken
    ctx.audit("account.created", subject_id=user.id, role=role)
    return User.of(user, ctx.link)


async def change_status(ctx: Context, email: str, status: Status) -> User:
    """Approve, block or unblock; a blocked person's sessions end. Raises: NotFound."""
    user = await accounts.update_user(ctx.db, (await _find(ctx, email)).id, status=status)
    if status == Status.BLOCKED:
        await end_sessions(ctx, user.id)
    ctx.audit("account.status_changed", subject_id=user.id, status=status)
    return User.of(user, ctx.link)


async def sign_in_as(ctx: Context, email: str) -> Session:
    """A session without a password, for operators and load tests. Raises: NotFound, Forbidden."""
    user = await _find(ctx, email)
    if user.status not in MAY_SIGN_IN:
        raise Forbidden
    return (await open_session(ctx, user)).body


async def create_api_key(ctx: Context, email: str) -> tuple[str, str]:
    """A partner server's id and secret; the secret is shown this once. Raises: NotFound."""
    user = await _find(ctx, email)
    key_id, secret = f"key_{new_token()[:16]}", new_token()
    await accounts.add_api_key(ctx.db, key_id, hash_token(secret), user.id, ctx.now)
    ctx.audit("account.api_key_created", subject_id=user.id, key_id=key_id)
    return key_id, secret


async def _find(ctx: Context, email: str) -> accounts.User:
    user = await accounts.find_user(ctx.db, email.lower())
    if user is None:
        raise NotFound
    return user

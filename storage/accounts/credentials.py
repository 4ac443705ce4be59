"""Other ways in: tokens for a new password, and partners' keys."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts.tables import ApiKey, ResetToken, Status, User
from storage.database import insert


async def add_reset_token(
    db: AsyncSession, token_hash: str, user_id: int, expires_at: datetime
) -> None:
    """Add a token; one whose letter is late and sent again is good for as long as a new one."""
    statement = insert(db, ResetToken).values(
        token_hash=token_hash, user_id=user_id, expires_at=expires_at
    )
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=[ResetToken.token_hash], set_={"expires_at": expires_at}
        )
    )


async def find_reset_owner(db: AsyncSession, token_hash: str, now: datetime) -> User | None:
    """Whose reset token this is, if it is still good."""
    return (
        await db.scalars(
            select(User)
            .join(ResetToken, ResetToken.user_id == User.id)
            .where(
                ResetToken.token_hash == token_hash,
                ResetToken.used_at.is_(None),
                ResetToken.expires_at > now,
            )
        )
    ).one_or_none()


async def use_reset_token(db: AsyncSession, token_hash: str, now: datetime) -> int | None:
    """Spend a reset token; whose it was, or None when it is not good."""
    return await db.scalar(
        update(ResetToken)
        .where(
            ResetToken.token_hash == token_hash,
            ResetToken.used_at.is_(None),
            ResetToken.expires_at > now,
        )
        .values(used_at=now)
        .returning(ResetToken.user_id)
    )


async def spend_reset_tokens(db: AsyncSession, user_id: int, now: datetime) -> None:
    await db.execute(
        update(ResetToken)
        .where(ResetToken.user_id == user_id, ResetToken.used_at.is_(None))
        .values(used_at=now)
    )


async def add_api_key(
    db: AsyncSession, key_id: str, secret_hash: str, user_id: int, now: datetime
) -> None:
    await db.execute(
        insert(db, ApiKey).values(
            id=key_id, user_id=user_id, secret_hash=secret_hash, created_at=now
        )
    )


async def find_api_key_owner(db: AsyncSession, key_id: str, secret_hash: str) -> User | None:
    return (
        await db.scalars(
            select(User)
            .join(ApiKey, ApiKey.user_id == User.id)
            .where(
                ApiKey.id == key_id,
                ApiKey.secret_hash == secret_hash,
                ApiKey.revoked_at.is_(None),
                User.status == Status.ACTIVE,
            )
        )
    ).one_or_none()

"""What is a person's own: deleted wherever it lies, a chunk at a time."""

from typing import Any

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from storage.accounts import ApiKey, Device, RefreshToken, ResetToken, Session, Status, User
from storage.assessments import Alert, Draft, LatestResult, Result
from storage.care import Invitation
from storage.events import Head, LogEntry
from storage.goals import Goal, Split
from storage.goals.tables import Feat, Unlock
from storage.leaving.tables import Departure
from storage.mood import Diary, Entry
from storage.notifications import Notification, Preference, Subscription
from storage.replies import Reply
from storage.schema import DatabaseClock

CHUNK = 1000

OWN: tuple[InstrumentedAttribute[Any], ...] = (
    Departure.user_id,
    ResetToken.user_id,
    ApiKey.user_id,
    Device.user_id,
    Invitation.psychologist_id,
    Alert.patient_id,
    LatestResult.user_id,
    Draft.user_id,
    Result.user_id,
    Diary.user_id,
    Entry.user_id,
    Unlock.user_id,
    Feat.user_id,
    Split.user_id,
    Goal.user_id,
    Subscription.user_id,
    Preference.user_id,
    Notification.user_id,
    Reply.user_id,
    LogEntry.user_id,
    Head.user_id,
)
"""Whose each row is, by the tables' columns. In the order of all locks: heads come last."""

CHANGED = {
    "sessions": "blank, until upkeep takes them: every instance must see that they ended",
    "relations": "ended; they are the other person's too",
    "chats": "closed, and no place in it; what the other person wrote is theirs",
    "messages": "emptied, so that no number is missing in the chat",
    "receipts": "kept: that the other person's messages were read",
    "uploads": "discarded, with their bytes",
    "exports": "forgotten, with their archives",
    "tests": "gone, but for those that others have answered",
}
"""Tables with people in them that are no mere belongings, and what becomes of their rows."""


async def delete_belongings(db: AsyncSession, user_id: int) -> tuple[int, bool]:
    """Delete up to a chunk of what is a person's own; how many rows, and whether that was all."""
    gone = 0
    for column in OWN:
        table = column.table
        key = list(table.primary_key)
        some = select(*key).where(column == user_id).limit(CHUNK - gone)
        deleted = delete(table).where(tuple_(*key).in_(some)).returning(key[0])
        gone += len((await db.execute(deleted)).all())
        if gone == CHUNK:
            return gone, False
    return gone, True


async def delete_credentials(db: AsyncSession, user_id: int) -> None:
    """Whatever lets a person in, but their sessions."""
    sessions = select(Session.id).where(Session.user_id == user_id)
    await db.execute(delete(RefreshToken).where(RefreshToken.session_id.in_(sessions)))
    await db.execute(delete(ResetToken).where(ResetToken.user_id == user_id))
    await db.execute(delete(ApiKey).where(ApiKey.user_id == user_id))


async def blank_sessions(db: AsyncSession, user_id: int) -> int:
    """Leave nothing of ended sessions but that they ended; how many these were."""
    rows = await db.execute(
        update(Session)
        .where(Session.user_id == user_id, Session.ended_at.is_not(None))
        .values(
            user_agent="",
            address="",
            created_at=Session.ended_at,
            last_used_at=Session.ended_at,
            expires_at=Session.ended_at,
        )
        .returning(Session.id)
    )
    return len(rows.all())


async def lock_leaver(db: AsyncSession, user_id: int) -> User | None:
    """The row of whoever is not erased yet.

    It waits for everybody who has just written a row that refers to it: their unique address is
    to change, and who asks for less first and for all of it then may wait for them for ever.
    """
    return (
        await db.scalars(
            select(User)
            .where(User.id == user_id, User.status != Status.ERASED)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one_or_none()


async def blank_person(db: AsyncSession, user_id: int, name: str) -> None:
    """Leave a row that others may refer to, with nothing of the person in it.

    The address is none that anybody can have, so that the real one may register anew.
    """
    await db.execute(
        update(User)
        .where(User.id == user_id)
        .values(
            email=f"erased:{user_id}",
            email_verified_at=None,
            password_hash=None,
            name=name,
            status=Status.ERASED,
            locale="en",
            time_zone="UTC",
            contacts={},
            push_enabled=False,
            oauth_provider=None,
            oauth_subject=None,
            created_at=DatabaseClock(),
            last_seen_at=None,
            avatar_upload_id=None,
            digest_times="",
            digest_frequency="off",
            digest_weekday=None,
            quiet_starts=None,
            quiet_ends=None,
        )
        .execution_options(synchronize_session=False)
    )


async def delete_invitations(db: AsyncSession, email: str) -> int:
    """The invitations to an address that waited for it to register."""
    rows = await db.execute(
        delete(Invitation).where(Invitation.email == email).returning(Invitation.email)
    )
    return len(rows.all())

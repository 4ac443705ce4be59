"""What a person has left with others: tests they wrote, alerts about them, notes on alerts."""

from collections.abc import Collection

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts import Status, User
from storage.assessments import Alert, Test, TestVersion, VersionStatus
from storage.care import Relation

CHUNK = 20


async def delete_alerts(db: AsyncSession, patient_id: int) -> list[int]:
    """Delete some of the alerts about a person; their ids."""
    some = select(Alert.id).where(Alert.patient_id == patient_id).order_by(Alert.id).limit(CHUNK)
    rows = await db.scalars(delete(Alert).where(Alert.id.in_(some)).returning(Alert.id))
    return sorted(rows)


async def list_guardians(db: AsyncSession, patient_ids: Collection[int]) -> list[int]:
    """Who looks, or looked, after these people, and has not left for good."""
    rows = await db.scalars(
        select(Relation.psychologist_id)
        .join(User, User.id == Relation.psychologist_id)
        .where(Relation.patient_id.in_(patient_ids), User.status != Status.ERASED)
        .order_by(Relation.psychologist_id)
        .distinct()
    )
    return list(rows)


async def blank_notes(db: AsyncSession, user_id: int) -> list[Alert]:
    """Take the notes off some of the alerts that a person had to do with; these alerts.

    An alert has one note, of whoever gave one last. Where somebody else settled it too, it cannot
    be told whose it is, so it goes.
    """
    patients = select(Relation.patient_id).where(Relation.psychologist_id == user_id)
    some = (
        select(Alert.id)
        .where(
            or_(Alert.patient_id.in_(patients), Alert.for_admins.is_(True)),
            or_(Alert.acknowledged_by == user_id, Alert.resolved_by == user_id),
            Alert.note.is_not(None),
        )
        .order_by(Alert.id)
        .limit(CHUNK)
    )
    rows = await db.scalars(
        update(Alert)
        .where(Alert.id.in_(some))
        .values(note=None)
        .returning(Alert)
        .execution_options(populate_existing=True)
    )
    return sorted(rows, key=lambda alert: alert.id)


async def list_own_tests(db: AsyncSession, author_id: int) -> list[int]:
    rows = await db.scalars(
        select(Test.id).where(Test.author_id == author_id).order_by(Test.id).limit(CHUNK)
    )
    return list(rows)


async def delete_draft_version(db: AsyncSession, test_id: int) -> None:
    """Delete what of a test nobody but its author has seen."""
    await db.execute(
        delete(TestVersion).where(
            TestVersion.test_id == test_id, TestVersion.status == VersionStatus.DRAFT
        )
    )

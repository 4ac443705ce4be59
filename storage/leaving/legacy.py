"""What a person has left with others: tests they wrote, alerts about them, notes on alerts."""

from collections.abc import Collection

from sqlalchemy import delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts import Status, User
from storage.assessments import (
    Alert,
    Result,
    Test,
    TestStatus,
    TestVersion,
    VersionStatus,
)
from storage.care import Relation

CHUNK = 20


async def delete_alerts(db: AsyncSession, patient_id: int) -> list[int]:
    """Delete some of the alerts about a person; their ids."""
    some = select(Alert.id).where(Alert.patient_id == patient_id).order_by(Alert.id).limit(CHUNK)
    rows = await db.scalars(delete(Alert).where(Alert.id.in_(some)).returning(Alert.id))
    return sorted(rows)


async def list_guardians(db: AsyncSession, patient_ids: Collection[int]) -> dict[int, list[int]]:
    """Who looks, or looked, after each of these people, and has not left for good."""
    rows = await db.execute(
        select(Relation.patient_id, Relation.psychologist_id)
        .join(User, User.id == Relation.psychologist_id)
        .where(Relation.patient_id.in_(patient_ids), User.status != Status.ERASED)
        .order_by(Relation.patient_id, Relation.psychologist_id)
    )
    guardians: dict[int, list[int]] = {patient_id: [] for patient_id in patient_ids}
    for patient_id, psychologist_id in rows:
        guardians[patient_id].append(psychologist_id)
    return guardians


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


async def lock_own_tests(db: AsyncSession, author_id: int) -> list[int]:
    """Some of the tests that somebody wrote; nobody answers them meanwhile."""
    rows = await db.scalars(
        select(Test.id)
        .where(Test.author_id == author_id)
        .order_by(Test.id)
        .limit(CHUNK)
        .with_for_update()
    )
    return list(rows)


async def disown_tests(db: AsyncSession, test_ids: Collection[int]) -> None:
    """Delete tests that nobody has answered; others stay, retired, with what was answered."""
    mine = Test.id.in_(test_ids)
    await db.execute(delete(Test).where(mine, ~exists().where(Result.test_id == Test.id)))
    await db.execute(
        delete(TestVersion).where(
            TestVersion.test_id.in_(test_ids), TestVersion.status == VersionStatus.DRAFT
        )
    )
    await db.execute(update(Test).where(mine).values(status=TestStatus.RETIRED, author_id=None))

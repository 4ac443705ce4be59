"""Alerts: raised, looked at, settled."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts import User
from storage.assessments.tables import Alert, AlertStatus, Question, Result, Test
from storage.database import insert


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert with what it is about."""

    alert: Alert
    patient: User
    test: Test
    question: Question


async def add_alerts(db: AsyncSession, rows: Sequence[dict[str, Any]]) -> list[int]:
    """The ids of the new alerts."""
    ids = await db.scalars(insert(db, Alert).returning(Alert.id), rows)
    return list(ids)


async def lock_alert(db: AsyncSession, alert_id: int) -> Alert | None:
    return (
        await db.scalars(
            select(Alert)
            .where(Alert.id == alert_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()


async def update_alert(db: AsyncSession, alert_id: int, **values: Any) -> None:
    await db.execute(update(Alert).where(Alert.id == alert_id).values(**values))


async def load_alerts(db: AsyncSession, alert_ids: Collection[int]) -> list[Raised]:
    rows = await db.execute(
        _raised().where(Alert.id.in_(alert_ids)).order_by(Alert.id),
        execution_options={"populate_existing": True},
    )
    return [Raised(*row) for row in rows]


async def get_alert_owner(db: AsyncSession, alert_id: int) -> tuple[int, bool] | None:
    """Whose answer raised it, and whether it is for admins too."""
    row = (
        await db.execute(select(Alert.patient_id, Alert.for_admins).where(Alert.id == alert_id))
    ).one_or_none()
    return None if row is None else (row[0], row[1])


async def list_alerts(
    db: AsyncSession,
    *,
    patient_ids: Collection[int] | None,
    status: AlertStatus | None,
    skip: int,
    limit: int,
) -> tuple[list[Raised], int]:
    """Of these people, or without them those that are for admins; the newest first."""
    wanted: list[ColumnElement[bool]] = [
        Alert.for_admins.is_(True) if patient_ids is None else Alert.patient_id.in_(patient_ids)
    ]
    if status is not None:
        wanted.append(Alert.status == status)
    total = (await db.execute(select(func.count()).select_from(Alert).where(*wanted))).scalar_one()
    rows = await db.execute(
        _raised().where(*wanted).order_by(Alert.id.desc()).offset(skip).limit(limit)
    )
    return [Raised(*row) for row in rows], total


async def list_unresolved(db: AsyncSession, patient_id: int, *, limit: int) -> list[Alert]:
    """What still waits for somebody, the oldest first."""
    rows = await db.scalars(
        select(Alert)
        .where(Alert.patient_id == patient_id, Alert.status != AlertStatus.RESOLVED)
        .order_by(Alert.id)
        .limit(limit)
    )
    return list(rows)


async def count_alerts(db: AsyncSession, patient_ids: Collection[int]) -> dict[int, int]:
    """How many alerts of each of these people are not resolved."""
    rows = await db.execute(
        select(Alert.patient_id, func.count())
        .where(Alert.patient_id.in_(patient_ids), Alert.status != AlertStatus.RESOLVED)
        .group_by(Alert.patient_id)
    )
    return dict.fromkeys(patient_ids, 0) | {row[0]: row[1] for row in rows}


def _raised() -> Any:
    return (
        select(Alert, User, Test, Question)
        .join(User, User.id == Alert.patient_id)
        .join(Result, Result.id == Alert.result_id)
        .join(Test, Test.id == Result.test_id)
        .join(Question, Question.id == Alert.question_id)
    )

"""Relations: who looks after whom."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, String, delete, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, aliased, mapped_column

from storage.accounts import User
from storage.database import insert
from storage.schema import Table, UserKey


class RelationStatus(StrEnum):
    INVITED = "invited"
    ACTIVE = "active"
    DECLINED = "declined"
    ENDED = "ended"


class Relation(Table):
    __tablename__ = "relations"
    __table_args__ = (Index(None, "patient_id"),)

    psychologist_id: Mapped[UserKey]
    patient_id: Mapped[UserKey]
    status: Mapped[str] = mapped_column(String(20))
    invited_at: Mapped[datetime]
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]


class Invitation(Table):
    """An invitation to an address that nobody has registered yet."""

    __tablename__ = "invitations"
    __table_args__ = (Index(None, "email"),)

    psychologist_id: Mapped[UserKey]
    email: Mapped[str] = mapped_column(String(254), primary_key=True)
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Pair:
    """A relation with both of its people."""

    relation: Relation
    psychologist: User
    patient: User


Psychologist = aliased(User, name="psychologist")
Patient = aliased(User, name="patient")


async def invite_patient(
    db: AsyncSession, psychologist_id: int, patient_id: int, now: datetime
) -> bool:
    """Invite, or invite again after an end or a refusal; False when nothing changed."""
    statement = insert(db, Relation).values(
        psychologist_id=psychologist_id,
        patient_id=patient_id,
        status=RelationStatus.INVITED,
        invited_at=now,
    )
    invited = await db.execute(
        statement.on_conflict_do_update(
            index_elements=[Relation.psychologist_id, Relation.patient_id],
            set_={"status": RelationStatus.INVITED, "invited_at": now},
            where=Relation.status.in_([RelationStatus.DECLINED, RelationStatus.ENDED]),
        ).returning(Relation.patient_id)
    )
    return invited.first() is not None


async def change_relation(
    db: AsyncSession,
    psychologist_id: int,
    patient_id: int,
    *,
    was: RelationStatus,
    **values: Any,
) -> bool:
    """Change a relation that is as it is thought to be; False when it is not."""
    changed = await db.execute(
        update(Relation)
        .where(
            Relation.psychologist_id == psychologist_id,
            Relation.patient_id == patient_id,
            Relation.status == was,
        )
        .values(**values)
        .returning(Relation.patient_id)
    )
    return changed.first() is not None


async def get_pair(db: AsyncSession, psychologist_id: int, patient_id: int) -> Pair:
    row = (
        await db.execute(
            _pairs().where(
                Relation.psychologist_id == psychologist_id, Relation.patient_id == patient_id
            ),
            execution_options={"populate_existing": True},
        )
    ).one()
    return Pair(*row)


async def get_pairs(db: AsyncSession, keys: Collection[tuple[int, int]]) -> list[Pair]:
    """The relations of these (psychologist, patient)."""
    rows = await db.execute(
        _pairs()
        .where(tuple_(Relation.psychologist_id, Relation.patient_id).in_(keys))
        .order_by(Relation.psychologist_id, Relation.patient_id),
        execution_options={"populate_existing": True},
    )
    return [Pair(*row) for row in rows]


async def list_pairs(
    db: AsyncSession, user_id: int, *, skip: int, limit: int
) -> tuple[list[Pair], int]:
    mine = or_(Relation.psychologist_id == user_id, Relation.patient_id == user_id)
    total = (await db.execute(select(func.count()).select_from(Relation).where(mine))).scalar_one()
    rows = await db.execute(
        _pairs()
        .where(mine)
        .order_by(Relation.invited_at.desc(), Relation.patient_id.desc())
        .offset(skip)
        .limit(limit)
    )
    return [Pair(*row) for row in rows], total


async def list_pairs_after(
    db: AsyncSession, user_id: int, *, after: tuple[int, int], limit: int
) -> list[Pair]:
    """A person's relations by (psychologist_id, patient_id)."""
    rows = await db.execute(
        _pairs()
        .where(
            or_(Relation.psychologist_id == user_id, Relation.patient_id == user_id),
            tuple_(Relation.psychologist_id, Relation.patient_id) > after,
        )
        .order_by(Relation.psychologist_id, Relation.patient_id)
        .limit(limit)
    )
    return [Pair(*row) for row in rows]


async def is_active(db: AsyncSession, psychologist_id: int, patient_id: int) -> bool:
    """Whether the relation is active; it cannot end before this transaction does."""
    status = await db.scalar(
        select(Relation.status)
        .where(Relation.psychologist_id == psychologist_id, Relation.patient_id == patient_id)
        .with_for_update(read=True)
    )
    return status == RelationStatus.ACTIVE


async def list_psychologists(db: AsyncSession, patient_id: int) -> list[int]:
    """Whose patient this is; no relation can begin or end before this transaction does."""
    rows = await db.execute(
        select(Relation.psychologist_id, Relation.status)
        .where(Relation.patient_id == patient_id)
        .order_by(Relation.psychologist_id)
        .with_for_update(read=True)
    )
    # Not in the condition: one that is being accepted in this moment would not be waited for.
    return [psychologist_id for psychologist_id, status in rows if status == RelationStatus.ACTIVE]


async def list_patient_ids(db: AsyncSession, psychologist_id: int, *, limit: int) -> list[int]:
    """A psychologist's patients; of more than `limit`, those that came last."""
    return list(
        await db.scalars(
            select(Relation.patient_id)
            .where(
                Relation.psychologist_id == psychologist_id,
                Relation.status == RelationStatus.ACTIVE,
            )
            .order_by(Relation.since.desc(), Relation.patient_id.desc())
            .limit(limit)
        )
    )


async def add_invitation(db: AsyncSession, psychologist_id: int, email: str, now: datetime) -> None:
    statement = insert(db, Invitation).values(
        psychologist_id=psychologist_id, email=email, created_at=now
    )
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=[Invitation.psychologist_id, Invitation.email],
            set_={"created_at": now},
        )
    )


async def take_invitations(db: AsyncSession, email: str) -> list[int]:
    """Remove the invitations to this address; the psychologists who made them."""
    return sorted(
        await db.scalars(
            delete(Invitation)
            .where(Invitation.email == email)
            .returning(Invitation.psychologist_id)
        )
    )


def _pairs() -> Any:
    return (
        select(Relation, Psychologist, Patient)
        .join(Psychologist, Psychologist.id == Relation.psychologist_id)
        .join(Patient, Patient.id == Relation.patient_id)
    )

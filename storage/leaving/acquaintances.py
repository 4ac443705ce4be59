"""Who may hold copies of what a person wrote, or of who they are."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import and_, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from storage.accounts import Role, Status, User
from storage.assessments import Alert
from storage.care import Relation
from storage.chat import Chat

OTHER = aliased(Relation)


async def list_acquaintances(
    db: AsyncSession, user_id: int, *, after: int, limit: int, also_erased: bool = False
) -> list[int]:
    """The next people by id to whose devices something went, unless they are erased themselves.

    Those whom the person had anything to do with; admins, who are told of alerts; and others who
    look after the same patients, since they are told who settled an alert, and with which note.
    """
    wanted = [User.id.in_(_find_all(user_id)), User.id > after, User.id != user_id]
    if not also_erased:
        wanted.append(User.status != Status.ERASED)
    return list(await db.scalars(select(User.id).where(*wanted).order_by(User.id).limit(limit)))


async def has_erased_acquaintances(db: AsyncSession, user_id: int) -> bool:
    """Whether anybody of these is erased too."""
    found = await db.scalar(
        select(User.id)
        .where(User.id.in_(_find_all(user_id)), User.id != user_id, User.status == Status.ERASED)
        .limit(1)
    )
    return found is not None


def _find_all(user_id: int) -> Any:
    patients = select(Relation.patient_id).where(Relation.psychologist_id == user_id)
    psychologists = select(Relation.psychologist_id).where(Relation.patient_id == user_id)
    colleagues = (
        select(OTHER.psychologist_id)
        .join(Relation, Relation.patient_id == OTHER.patient_id)
        .where(Relation.psychologist_id == user_id)
    )
    admins = select(User.id).where(User.role == Role.ADMIN)
    # An admin settles alerts of people whom they have no relation with.
    guardians = (
        select(OTHER.psychologist_id)
        .join(Alert, Alert.patient_id == OTHER.patient_id)
        .where(
            Alert.for_admins.is_(True),
            or_(Alert.acknowledged_by == user_id, Alert.resolved_by == user_id),
        )
    )
    return union(patients, psychologists, colleagues, admins, guardians)


async def find_chats(db: AsyncSession, user_id: int, others: Collection[int]) -> dict[int, int]:
    """The chat that a person has with each of the others, by the other's id."""
    theirs = or_(
        and_(Chat.psychologist_id == user_id, Chat.patient_id.in_(others)),
        and_(Chat.patient_id == user_id, Chat.psychologist_id.in_(others)),
    )
    rows = await db.execute(select(Chat.id, Chat.psychologist_id, Chat.patient_id).where(theirs))
    return {
        patient_id if psychologist_id == user_id else psychologist_id: chat_id
        for chat_id, psychologist_id, patient_id in rows
    }

"""What people have done, and what they hold for it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts import Status, User
from storage.database import insert
from storage.goals.tables import Feat, FeatKind, Share, Unlock

MAX_DAYS = 10_000
"""Days of one person that are looked back at: more than a quarter of a century."""


@dataclass(frozen=True, slots=True)
class Held:
    """How often somebody earned an achievement, and when the last time."""

    count: int
    earned_at: datetime


async def add_feat(
    db: AsyncSession, user_id: int, kind: FeatKind, subject_id: int, *, day: date, now: datetime
) -> None:
    """Note what was done; once, whoever notes it again."""
    statement = insert(db, Feat).values(
        user_id=user_id, kind=kind, subject_id=subject_id, day=day, at=now
    )
    await db.execute(statement.on_conflict_do_nothing())


async def remove_feat(db: AsyncSession, user_id: int, kind: FeatKind, subject_id: int) -> None:
    await db.execute(
        delete(Feat).where(
            Feat.user_id == user_id, Feat.kind == kind, Feat.subject_id == subject_id
        )
    )


async def count_feats(db: AsyncSession, user_id: int) -> dict[FeatKind, list[tuple[date, int]]]:
    """Of each kind, on which days something was done, and how much; in order."""
    counts: dict[FeatKind, list[tuple[date, int]]] = {kind: [] for kind in FeatKind}
    rows = await db.execute(
        select(Feat.kind, Feat.day, func.count())
        .where(Feat.user_id == user_id)
        .group_by(Feat.kind, Feat.day)
        .order_by(Feat.day.desc())
        .limit(MAX_DAYS)
    )
    for kind, day, count in rows.all()[::-1]:
        counts[FeatKind(kind)].append((day, count))
    return counts


async def list_held(db: AsyncSession, user_id: int) -> dict[str, Held]:
    """What a person holds, by the achievement's code."""
    rows = await db.execute(
        select(Unlock.achievement, func.count(), func.max(Unlock.earned_at))
        .where(Unlock.user_id == user_id)
        .group_by(Unlock.achievement)
    )
    return {code: Held(count, earned_at) for code, count, earned_at in rows}


async def add_unlocks(
    db: AsyncSession, user_id: int, unlocks: Sequence[tuple[str, int]], now: datetime
) -> None:
    """Earn these (achievement, ordinal)."""
    rows = [
        {"user_id": user_id, "achievement": code, "ordinal": ordinal, "earned_at": now}
        for code, ordinal in unlocks
    ]
    if rows:
        await db.execute(insert(db, Unlock).values(rows).on_conflict_do_nothing())


async def remove_unlocks(db: AsyncSession, user_id: int, kept: Mapping[str, int]) -> None:
    """Of each of these achievements keep so many."""
    if kept:
        too_many = or_(
            *(
                and_(Unlock.achievement == code, Unlock.ordinal > count)
                for code, count in kept.items()
            )
        )
        await db.execute(delete(Unlock).where(Unlock.user_id == user_id, too_many))


async def list_shares(db: AsyncSession) -> dict[str, Share]:
    """As they were counted last, by the achievement's code."""
    return {share.achievement: share for share in await db.scalars(select(Share))}


async def count_people(db: AsyncSession) -> int:
    """Accounts in use: neither waiting for approval, nor blocked, nor on their way out."""
    wanted = select(func.count()).select_from(User).where(User.status == Status.ACTIVE)
    return (await db.execute(wanted)).scalar_one()


async def count_holders(db: AsyncSession, code: str) -> int:
    """Of the accounts in use."""
    wanted = (
        select(func.count())
        .select_from(Unlock)
        .join(User, User.id == Unlock.user_id)
        .where(Unlock.achievement == code, Unlock.ordinal == 1, User.status == Status.ACTIVE)
    )
    return (await db.execute(wanted)).scalar_one()


async def set_share(
    db: AsyncSession, code: str, *, holders: int, people: int, now: datetime
) -> None:
    counted = {"holders": holders, "people": people, "computed_at": now}
    statement = insert(db, Share).values(achievement=code, **counted)
    await db.execute(
        statement.on_conflict_do_update(index_elements=[Share.achievement], set_=counted)
    )


async def remove_shares(db: AsyncSession, but: Collection[str]) -> None:
    """Forget achievements that there are no more."""
    await db.execute(delete(Share).where(Share.achievement.not_in(but)))

"""Erasures: begun, gone on with from checkpoints, finished with a receipt."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.database import insert
from storage.leaving.tables import Erasure, ErasureStep


async def add_erasure(
    db: AsyncSession, user_id: int, *, email: str, locale: str, now: datetime
) -> Erasure:
    erasure = Erasure(
        user_id=user_id,
        pseudonym=-1 - secrets.randbits(52),
        email=email,
        locale=locale,
        asked_at=now,
        counts={},
    )
    db.add(erasure)
    await db.flush()
    return erasure


async def get_erasure(db: AsyncSession, erasure_id: int) -> Erasure | None:
    return (
        await db.scalars(
            select(Erasure)
            .where(Erasure.id == erasure_id)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()


async def hold_step(db: AsyncSession, erasure_id: int, round: int, store: str) -> ErasureStep:
    """How far a store has come, which nobody else goes on with meanwhile."""
    key = {"erasure_id": erasure_id, "round": round, "store": store}
    statement = insert(db, ErasureStep).values(**key, cursor=[], count=0, is_done=False)
    await db.execute(statement.on_conflict_do_nothing())
    return (await db.scalars(select(ErasureStep).filter_by(**key).with_for_update())).one()


async def move_step(
    db: AsyncSession, step: ErasureStep, cursor: Sequence[Any] | None, count: int
) -> None:
    """Go on from there next time, or never when it is None."""
    await db.execute(
        update(ErasureStep)
        .where(
            ErasureStep.erasure_id == step.erasure_id,
            ErasureStep.round == step.round,
            ErasureStep.store == step.store,
        )
        .values(
            cursor=list(cursor or ()),
            count=ErasureStep.count + count,
            is_done=cursor is None,
        )
    )


async def finish_erasure(db: AsyncSession, erasure_id: int, now: datetime) -> None:
    """Make the receipt: how many of what are gone, of nobody in particular."""
    mine = ErasureStep.erasure_id == erasure_id
    rows = await db.execute(
        select(ErasureStep.store, func.sum(ErasureStep.count))
        .where(mine)
        .group_by(ErasureStep.store)
    )
    counts = {store: int(count) for store, count in rows if count}
    await db.execute(
        update(Erasure)
        .where(Erasure.id == erasure_id)
        .values(user_id=None, finished_at=now, counts=counts)
    )
    await db.execute(delete(ErasureStep).where(mine))


async def forget_address(db: AsyncSession, erasure_id: int) -> None:
    await db.execute(
        update(Erasure).where(Erasure.id == erasure_id).values(email=None, locale=None)
    )

"""Results: added, found, listed."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from storage.assessments.tables import LatestResult, Result, Test, TestVersion
from storage.database import insert


class Found(NamedTuple):
    """A result with the test and the version it was answered in."""

    result: Result
    test: Test
    version: TestVersion


async def add_result(db: AsyncSession, **values: Any) -> Result | None:
    """The new result, the person's latest of its test; None when its `client_ref` was used."""
    added = insert(db, Result).values(**values).on_conflict_do_nothing().returning(Result)
    result = (await db.scalars(added)).one_or_none()
    if result is not None:
        latest = insert(db, LatestResult).values(
            user_id=result.user_id, test_id=result.test_id, result_id=result.id
        )
        await db.execute(
            latest.on_conflict_do_update(
                index_elements=[LatestResult.user_id, LatestResult.test_id],
                set_={"result_id": result.id},
            )
        )
    return result


async def find_result(db: AsyncSession, result_id: int) -> Found | None:
    row = (await db.execute(_found().where(Result.id == result_id))).one_or_none()
    return None if row is None else Found(*row)


async def find_results(db: AsyncSession, result_ids: Collection[int]) -> list[Found]:
    """Those that there are, the oldest first."""
    rows = await db.execute(
        _found().where(Result.id.in_(result_ids)).order_by(Result.created_at, Result.id)
    )
    return [Found(*row) for row in rows]


async def find_by_ref(db: AsyncSession, user_id: int, client_ref: UUID) -> Found | None:
    wanted = _found().where(Result.user_id == user_id, Result.client_ref == client_ref)
    row = (await db.execute(wanted)).one_or_none()
    return None if row is None else Found(*row)


async def find_first_total(
    db: AsyncSession, user_id: int, test_id: int, *, version_ids: Collection[int] | None
) -> float | None:
    """The total of the person's first result of a test, or of some of its versions."""
    first = (
        select(Result.total)
        .where(Result.user_id == user_id, Result.test_id == test_id)
        .order_by(Result.created_at, Result.id)
        .limit(1)
    )
    if version_ids is not None:
        first = first.where(Result.version_id.in_(version_ids))
    return await db.scalar(first)


async def list_results(
    db: AsyncSession,
    user_id: int,
    *,
    test_id: int | None,
    after: datetime | None,
    before: datetime | None,
    skip: int,
    limit: int,
) -> tuple[list[Found], int]:
    """A person's results with `after` <= created_at < `before`, the newest first."""
    wanted = _choose(user_id, test_id, after, before)
    total = (await db.execute(select(func.count()).where(*wanted))).scalar_one()
    rows = await db.execute(
        _found()
        .where(*wanted)
        .order_by(Result.created_at.desc(), Result.id.desc())
        .offset(skip)
        .limit(limit)
    )
    return [Found(*row) for row in rows], total


async def list_results_after(
    db: AsyncSession, user_id: int, *, after: tuple[datetime, int] | None, limit: int
) -> list[Found]:
    """A person's results by (created_at, id)."""
    wanted = _found().where(Result.user_id == user_id)
    if after is not None:
        wanted = wanted.where(tuple_(Result.created_at, Result.id) > after)
    rows = await db.execute(wanted.order_by(Result.created_at, Result.id).limit(limit))
    return [Found(*row) for row in rows]


async def list_latest(
    db: AsyncSession, user_ids: Collection[int]
) -> list[tuple[Result, str | None]]:
    """The last result of each test of each of these people, with the test's code."""
    rows = await db.execute(
        _outlined()
        .join(LatestResult, LatestResult.result_id == Result.id)
        .where(LatestResult.user_id.in_(user_ids))
        .order_by(LatestResult.user_id, LatestResult.test_id)
    )
    return [(result, code) for result, code in rows]


async def list_outlines(
    db: AsyncSession, user_id: int, *, after: datetime, before: datetime, limit: int
) -> tuple[list[tuple[Result, str | None]], int]:
    """A person's results in a period without their answers, and the tests' codes; the last ones."""
    wanted = _choose(user_id, None, after, before)
    total = (await db.execute(select(func.count()).where(*wanted))).scalar_one()
    rows = await db.execute(
        _outlined().where(*wanted).order_by(Result.created_at.desc(), Result.id.desc()).limit(limit)
    )
    return [(result, code) for result, code in rows], total


def _choose(
    user_id: int, test_id: int | None, after: datetime | None, before: datetime | None
) -> list[Any]:
    wanted = [Result.user_id == user_id]
    if test_id is not None:
        wanted.append(Result.test_id == test_id)
    if after is not None:
        wanted.append(Result.created_at >= after)
    if before is not None:
        wanted.append(Result.created_at < before)
    return wanted


def _found() -> Any:
    return (
        select(Result, Test, TestVersion)
        .join(Test, Test.id == Result.test_id)
        .join(TestVersion, TestVersion.id == Result.version_id)
    )


def _outlined() -> Any:
    return (
        select(Result, Test.code)
        .join(Test, Test.id == Result.test_id)
        .options(defer(Result.answers), defer(Result.scales))
    )

"""Tests and their versions: kept, found, published."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.assessments.tables import (
    AnswerOption,
    Question,
    Result,
    Test,
    TestStatus,
    TestVersion,
    VersionStatus,
)
from storage.database import insert

SHOWN = (VersionStatus.PUBLISHED, VersionStatus.DRAFT)
"""The version that people see: the published one, and until there is one the draft."""


@dataclass(frozen=True, slots=True)
class Item:
    """A question with its answers, both in order."""

    question: Question
    options: Sequence[AnswerOption]


@dataclass(frozen=True, slots=True)
class Form:
    """One version of a test, whole."""

    test: Test
    version: TestVersion
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class NewOption:
    texts: dict[str, str]
    score: float | None
    loinc: str | None


@dataclass(frozen=True, slots=True)
class NewQuestion:
    code: str
    texts: dict[str, str]
    scored: bool
    required: bool
    loinc: str | None
    options: Sequence[NewOption]


async def add_test(
    db: AsyncSession,
    *,
    code: str | None,
    author_id: int | None,
    status: TestStatus,
    search: str,
    now: datetime,
) -> Test | None:
    """The new test, or None when the code is taken."""
    added = insert(db, Test).values(
        code=code, author_id=author_id, status=status, search=search, created_at=now
    )
    return (await db.scalars(added.on_conflict_do_nothing().returning(Test))).one_or_none()


async def get_test(db: AsyncSession, test_id: int) -> Test | None:
    return (await db.scalars(select(Test).where(Test.id == test_id))).one_or_none()


async def lock_test(db: AsyncSession, test_id: int) -> Test | None:
    return (
        await db.scalars(
            select(Test)
            .where(Test.id == test_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()


async def update_test(db: AsyncSession, test_id: int, **values: Any) -> None:
    await db.execute(update(Test).where(Test.id == test_id).values(**values))


async def count_own_tests(db: AsyncSession, author_id: int) -> int:
    found = await db.execute(select(func.count()).where(Test.author_id == author_id))
    return found.scalar_one()


async def list_codes(db: AsyncSession) -> set[str]:
    """The codes of the tests that were shipped."""
    codes = await db.scalars(select(Test.code).where(Test.code.is_not(None)))
    return {code for code in codes if code is not None}


async def delete_test(db: AsyncSession, test_id: int) -> None:
    """Delete a test with its versions, questions and drafts; it must have no results."""
    await db.execute(delete(Test).where(Test.id == test_id))


async def has_results(db: AsyncSession, test_id: int) -> bool:
    return bool(await db.scalar(select(exists().where(Result.test_id == test_id))))


async def add_version(
    db: AsyncSession,
    test_id: int,
    number: int,
    *,
    status: VersionStatus,
    rules: dict[str, Any],
    questions: Sequence[NewQuestion],
    now: datetime,
) -> None:
    """Add a version with its questions and answers, in three statements."""
    version_id = (
        await db.execute(
            insert(db, TestVersion)
            .values(
                test_id=test_id,
                number=number,
                status=status,
                rules=rules,
                published_at=now if status == VersionStatus.PUBLISHED else None,
            )
            .returning(TestVersion.id)
        )
    ).scalar_one()
    await db.execute(
        insert(db, Question),
        [
            {
                "version_id": version_id,
                "position": position,
                "code": question.code,
                "loinc": question.loinc,
                "texts": question.texts,
                "scored": question.scored,
                "required": question.required,
            }
            for position, question in enumerate(questions)
        ],
    )
    rows = await db.execute(
        select(Question.position, Question.id).where(Question.version_id == version_id)
    )
    ids = {row.position: row.id for row in rows}
    await db.execute(
        insert(db, AnswerOption),
        [
            {
                "question_id": ids[number],
                "position": position,
                "loinc": option.loinc,
                "texts": option.texts,
                "score": option.score,
            }
            for number, question in enumerate(questions)
            for position, option in enumerate(question.options)
        ],
    )


async def find_version(
    db: AsyncSession,
    test_id: int,
    *,
    number: int | None = None,
    statuses: Sequence[VersionStatus] = SHOWN,
) -> TestVersion | None:
    """The version of this number, or the first there is by these statuses."""
    wanted = (
        select(TestVersion)
        .where(TestVersion.test_id == test_id)
        .execution_options(populate_existing=True)
    )
    if number is not None:
        wanted = wanted.where(TestVersion.number == number)
    else:
        wanted = wanted.where(TestVersion.status.in_(statuses))
    found = {version.status: version for version in await db.scalars(wanted)}
    if number is not None:
        return next(iter(found.values()), None)
    return next((found[status] for status in statuses if status in found), None)


async def list_versions(db: AsyncSession, test_id: int, *, limit: int) -> list[TestVersion]:
    """The versions that were published, the last ones."""
    rows = await db.scalars(
        select(TestVersion)
        .where(TestVersion.test_id == test_id, TestVersion.status != VersionStatus.DRAFT)
        .order_by(TestVersion.number.desc())
        .limit(limit)
    )
    return list(rows)


async def find_version_of_question(
    db: AsyncSession, test_id: int, question_id: int
) -> TestVersion | None:
    return (
        await db.scalars(
            select(TestVersion)
            .join(Question, Question.version_id == TestVersion.id)
            .where(Question.id == question_id, TestVersion.test_id == test_id)
        )
    ).one_or_none()


async def get_version(db: AsyncSession, test_id: int, status: VersionStatus) -> TestVersion:
    """The version of this status, which there must be one of."""
    return (
        await db.scalars(
            select(TestVersion)
            .where(TestVersion.test_id == test_id, TestVersion.status == status)
            .execution_options(populate_existing=True)
        )
    ).one()


async def last_number(db: AsyncSession, test_id: int) -> int:
    found = await db.scalar(
        select(func.max(TestVersion.number)).where(TestVersion.test_id == test_id)
    )
    return found or 0


async def delete_version(db: AsyncSession, version_id: int) -> None:
    await db.execute(delete(TestVersion).where(TestVersion.id == version_id))


async def publish_version(db: AsyncSession, test_id: int, now: datetime) -> None:
    """Make the draft the published version; the one before is kept for its results."""
    mine = TestVersion.test_id == test_id
    await db.execute(
        update(TestVersion)
        .where(mine, TestVersion.status == VersionStatus.PUBLISHED)
        .values(status=VersionStatus.SUPERSEDED)
    )
    await db.execute(
        update(TestVersion)
        .where(mine, TestVersion.status == VersionStatus.DRAFT)
        .values(status=VersionStatus.PUBLISHED, published_at=now)
    )


async def load_items(db: AsyncSession, version_ids: Collection[int]) -> dict[int, list[Item]]:
    """The questions of each version with their answers, in order, in two statements."""
    questions = list(
        await db.scalars(
            select(Question)
            .where(Question.version_id.in_(version_ids))
            .order_by(Question.version_id, Question.position)
        )
    )
    options: dict[int, list[AnswerOption]] = defaultdict(list)
    for option in await db.scalars(
        select(AnswerOption)
        .join(Question, Question.id == AnswerOption.question_id)
        .where(Question.version_id.in_(version_ids))
        .order_by(AnswerOption.question_id, AnswerOption.position)
    ):
        options[option.question_id].append(option)
    items: dict[int, list[Item]] = defaultdict(list)
    for question in questions:
        items[question.version_id].append(Item(question, options[question.id]))
    return items


async def load_form(db: AsyncSession, test: Test, version: TestVersion) -> Form:
    return Form(test, version, (await load_items(db, [version.id]))[version.id])


async def list_own_forms_after(
    db: AsyncSession, author_id: int, *, after: tuple[int, int], limit: int
) -> list[Form]:
    """What somebody has written, by test and the version's number."""
    rows = await db.execute(
        select(Test, TestVersion)
        .join(TestVersion, TestVersion.test_id == Test.id)
        .where(
            Test.author_id == author_id,
            Test.id >= after[0],
            tuple_(TestVersion.test_id, TestVersion.number) > after,
        )
        .order_by(TestVersion.test_id, TestVersion.number)
        .limit(limit)
    )
    found = [(test, version) for test, version in rows]
    items = await load_items(db, [version.id for _, version in found])
    return [Form(test, version, items[version.id]) for test, version in found]


async def list_tests(
    db: AsyncSession,
    *,
    reader_id: int,
    is_admin: bool,
    query: str | None,
    code: str | None,
    skip: int,
    limit: int,
) -> tuple[list[tuple[Test, TestVersion]], int]:
    """Published tests and one's own (an admin's own are those without an author), newest first."""
    mine = Test.author_id.is_(None) if is_admin else Test.author_id == reader_id
    wanted = [or_(Test.status == TestStatus.PUBLISHED, mine)]
    if query is not None:
        wanted.append(Test.search.contains(query.casefold(), autoescape=True))
    if code is not None:
        wanted.append(Test.code == code)
    total = (await db.execute(select(func.count()).select_from(Test).where(*wanted))).scalar_one()
    shown = (
        select(func.coalesce(_id_with(VersionStatus.PUBLISHED), _id_with(VersionStatus.DRAFT)))
        .correlate(Test)
        .scalar_subquery()
    )
    rows = await db.execute(
        select(Test, TestVersion)
        .join(TestVersion, TestVersion.id == shown)
        .where(*wanted)
        .order_by(Test.id.desc())
        .offset(skip)
        .limit(limit)
    )
    return [(test, version) for test, version in rows], total


def _id_with(status: VersionStatus) -> Any:
    return (
        select(TestVersion.id)
        .where(TestVersion.test_id == Test.id, TestVersion.status == status)
        .correlate(Test)
        .scalar_subquery()
    )

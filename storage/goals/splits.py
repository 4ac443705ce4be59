"""Goals that a model splits: who asked, what was suggested, and what it cost."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import and_, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.goals.tables import POSITIONS, Split, SplitStatus, Suggestion, SuggestionState


@dataclass(frozen=True, slots=True)
class Proposal:
    """A split with those of its suggestions that nobody has decided on."""

    split: Split
    suggestions: list[Suggestion]


@dataclass(frozen=True, slots=True)
class Spending:
    """What somebody's splits have cost in tokens, how many go on, and when the first began."""

    tokens: int
    running: int
    since: datetime | None


async def add_split(
    db: AsyncSession, user_id: int, goal_id: int, *, digest: str, model: str, now: datetime
) -> Split:
    """A new split, in place of the one before: what that one suggested is refused."""
    await db.execute(
        update(Suggestion)
        .where(Suggestion.goal_id == goal_id, Suggestion.state == SuggestionState.OPEN)
        .values(state=SuggestionState.REFUSED)
        .execution_options(synchronize_session=False)
    )
    split = Split(
        user_id=user_id,
        goal_id=goal_id,
        status=SplitStatus.GENERATING,
        digest=digest,
        model=model[:100],
        tokens=0,
        attempts=0,
        started_at=now,
    )
    db.add(split)
    await db.flush()
    return split


async def get_split(db: AsyncSession, split_id: int) -> Split | None:
    """As it is now, whatever was read before."""
    return await db.get(Split, split_id, populate_existing=True)


async def get_last_split(db: AsyncSession, goal_id: int) -> Split | None:
    return (
        await db.scalars(
            select(Split)
            .where(Split.goal_id == goal_id)
            .order_by(Split.id.desc())
            .limit(1)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()


async def list_proposals(db: AsyncSession, goal_ids: Collection[int]) -> dict[int, Proposal]:
    """The last split of each of these goals that has one."""
    last = (
        select(func.max(Split.id)).where(Split.goal_id.in_(goal_ids)).group_by(Split.goal_id)
    ).scalar_subquery()
    is_open = and_(Suggestion.split_id == Split.id, Suggestion.state == SuggestionState.OPEN)
    rows = await db.execute(
        select(Split, Suggestion)
        .outerjoin(Suggestion, is_open)
        .where(Split.id.in_(last))
        .order_by(Split.id, Suggestion.position)
        .execution_options(populate_existing=True)
    )
    proposals: dict[int, Proposal] = {}
    for split, suggestion in rows:
        proposal = proposals.setdefault(cast("int", split.goal_id), Proposal(split, []))
        if suggestion is not None:
            proposal.suggestions.append(suggestion)
    return proposals


async def note_answer(db: AsyncSession, split_id: int, *, tokens: int, digest: str | None) -> None:
    """What one more answer cost, and its hash, unless nothing was said."""
    await db.execute(
        update(Split)
        .where(Split.id == split_id)
        .values(tokens=Split.tokens + tokens, answer=func.coalesce(digest, Split.answer))
        .execution_options(synchronize_session=False)
    )


async def measure_spending(db: AsyncSession, user_id: int, since: datetime) -> Spending:
    goes_on = and_(Split.status == SplitStatus.GENERATING, Split.goal_id.is_not(None))
    is_running = case((goes_on, 1), else_=0)
    tokens, running, first = (
        await db.execute(
            select(
                func.coalesce(func.sum(Split.tokens), 0),
                func.coalesce(func.sum(is_running), 0),
                func.min(Split.started_at),
            ).where(Split.user_id == user_id, Split.started_at > since)
        )
    ).one()
    return Spending(tokens, running, first)


async def list_earlier_titles(
    db: AsyncSession, user_id: int, digest: str, *, limit: int
) -> list[str]:
    """What somebody was suggested before for the same question, in its order."""
    rows = await db.scalars(
        select(Suggestion.title)
        .join(Split, Split.id == Suggestion.split_id)
        .where(
            Split.user_id == user_id,
            Split.digest == digest,
            Split.status == SplitStatus.FINISHED,
        )
        .order_by(Suggestion.split_id, Suggestion.position)
        .limit(limit)
    )
    return list(rows)


async def forget_splits(
    db: AsyncSession, user_id: int, goal_id: int, *, before: datetime, but: str
) -> None:
    """Those of this goal, and of goals that are gone, from before; of one question only repeats.

    What cost nothing suggested what another one had suggested already.
    """
    await db.execute(
        delete(Split)
        .where(
            Split.user_id == user_id,
            Split.started_at < before,
            func.coalesce(Split.goal_id, goal_id) == goal_id,
            or_(Split.digest != but, Split.tokens == 0),
        )
        .execution_options(synchronize_session=False)
    )


async def add_suggestion(
    db: AsyncSession, split: Split, goal_id: int, *, position: int, title: str
) -> Suggestion:
    suggestion = Suggestion(
        split_id=split.id,
        position=position,
        goal_id=goal_id,
        title=title,
        state=SuggestionState.OPEN,
    )
    db.add(suggestion)
    await db.flush()
    return suggestion


async def list_suggestions(db: AsyncSession, split_id: int) -> list[Suggestion]:
    """Decided on or not, in their order."""
    rows = await db.scalars(
        select(Suggestion).where(Suggestion.split_id == split_id).order_by(Suggestion.position)
    )
    return list(rows)


async def get_suggestion(db: AsyncSession, suggestion_id: int) -> Suggestion | None:
    """As it is now, whatever was read before."""
    return await db.get(Suggestion, divmod(suggestion_id, POSITIONS), populate_existing=True)

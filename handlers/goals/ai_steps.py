"""A split from its first suggestion to its end, each step under the goal's lock.

Whoever writes does so in attempts: a worker may die, or be taken for dead and come back. What
counts is the last attempt; the others find that they may add nothing any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from handlers.goals.ai_payloads import SplitEnded, StageSuggested
from handlers.goals.ai_prompts import MAX_SUGGESTIONS
from handlers.goals.declared import ai_failed, ai_finished, stage_suggested
from handlers.goals.payloads import Reason, Split, Suggestion
from handlers.goals.settling import Held, hold_goal
from handlers.goals.stages import MAX_STAGES
from server.context import Context
from server.errors import NotFound
from storage import goals as kept
from storage.goals import SplitStatus

MAX_ATTEMPTS = 4
FIRST_PAUSE = timedelta(seconds=1)
MAX_PAUSE = timedelta(minutes=1)
"""Nobody looks at a screen for longer than that."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a worker needs to know to ask a model. `said` are titles that are not wanted again."""

    split_id: int
    user_id: int
    goal_id: int
    number: int
    locale: str
    title: str
    description: str
    said: tuple[str, ...]
    most: int


@dataclass(frozen=True, slots=True)
class Work:
    """A split with its goal, both held."""

    held: Held
    split: kept.Split


class Answered(NamedTuple):
    """Who answered, what that cost, and the hash of what was said, if anything was."""

    model: str
    tokens: int
    digest: str | None


class Trouble(Exception):
    """There is no whole answer. After a `pause` it is worth another attempt; never if it is None."""

    def __init__(self, reason: Reason, pause: timedelta | None = timedelta(0)) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause = pause


async def begin_attempt(ctx: Context, split_id: int) -> Attempt | None:
    """Take a split up, from where others have come; None if there is nothing left to be done."""
    wanted = await kept.get_split(ctx.db, split_id)
    if wanted is None or wanted.goal_id is None:
        return None
    work = await _hold_split(ctx, wanted.user_id, wanted.goal_id, split_id)
    if work is None:
        return None
    suggested = [suggestion.title for suggestion in await kept.list_suggestions(ctx.db, split_id)]
    stages = [stage.title for stage in await kept.list_stages(ctx.db, work.held.goal.id)]
    most = min(MAX_SUGGESTIONS - len(suggested), MAX_STAGES - len(stages))
    if work.split.attempts >= MAX_ATTEMPTS or most <= 0:
        await end_split(ctx, work, "interrupted")
        return None
    work.split.attempts += 1
    return Attempt(
        split_id,
        work.held.person.id,
        work.held.goal.id,
        work.split.attempts,
        work.held.person.locale,
        work.held.goal.title,
        work.held.goal.description,
        (*stages, *suggested),
        most,
    )


async def add_suggestion(ctx: Context, attempt: Attempt, title: str) -> bool:
    """Tell the person of one more stage; False when this attempt is over."""
    work = await _hold_attempt(ctx, attempt)
    if work is not None:
        await put_suggestions(ctx, work, [title])
    return work is not None


async def finish_attempt(ctx: Context, attempt: Attempt, answered: Answered) -> None:
    """The answer was whole."""
    work = await _hold_attempt(ctx, attempt)
    await _note(ctx, attempt, answered)
    if work is not None:
        work.split.model = answered.model[:100]
        await end_split(ctx, work)


async def break_off(
    ctx: Context, attempt: Attempt, answered: Answered, trouble: Trouble
) -> timedelta | None:
    """The answer was not whole. After which pause to ask again; None when this is the end."""
    work = await _hold_attempt(ctx, attempt)
    await _note(ctx, attempt, answered)
    if work is None:
        return None
    has_some = bool(await kept.list_suggestions(ctx.db, attempt.split_id))
    is_said_all = has_some and trouble.reason == "blank"
    if not is_said_all and trouble.pause is not None and attempt.number < MAX_ATTEMPTS:
        pause = max(trouble.pause, FIRST_PAUSE * (1 << (attempt.number - 1)))
        if pause <= MAX_PAUSE:
            return pause
    await end_split(ctx, work, trouble.reason)
    return None


async def put_suggestions(ctx: Context, work: Work, titles: Sequence[str]) -> None:
    """Behind those that are there, each told by itself."""
    position = len(await kept.list_suggestions(ctx.db, work.split.id))
    for title in titles:
        position += 1
        row = await kept.add_suggestion(
            ctx.db, work.split, work.held.goal.id, position=position, title=title
        )
        told = StageSuggested(goal_id=work.held.goal.id, suggestion=Suggestion.model_validate(row))
        ctx.push(stage_suggested, told, to=[work.held.person.id])


async def end_split(ctx: Context, work: Work, reason: Reason | None = None) -> None:
    """It has failed for this reason, unless there is something to choose from all the same."""
    split = work.split
    is_empty = not await kept.list_suggestions(ctx.db, split.id)
    split.reason = reason if is_empty else None
    split.status = SplitStatus.FAILED if split.reason else SplitStatus.FINISHED
    await tell_end(ctx, work)


async def tell_end(ctx: Context, work: Work) -> Split:
    """A split has ended, however that is."""
    goal = work.held.goal
    work.split.ended_at = ctx.now
    await ctx.db.flush()
    proposal = (await kept.list_proposals(ctx.db, [goal.id]))[goal.id]
    told = SplitEnded(goal_id=goal.id, split=Split.of(proposal))
    push = ai_failed if work.split.status == SplitStatus.FAILED else ai_finished
    ctx.push(push, told, to=[work.held.person.id])
    return told.split


async def is_going_on(ctx: Context, attempt: Attempt) -> bool:
    """Whether anybody still wants what this attempt writes."""
    split = await kept.get_split(ctx.db, attempt.split_id)
    return split is not None and _is_current(split, attempt)


async def _hold_attempt(ctx: Context, attempt: Attempt) -> Work | None:
    work = await _hold_split(ctx, attempt.user_id, attempt.goal_id, attempt.split_id)
    return work if work is not None and _is_current(work.split, attempt) else None


async def _hold_split(ctx: Context, user_id: int, goal_id: int, split_id: int) -> Work | None:
    """A split that goes on, with its goal; None if it does not, or the goal is gone."""
    try:
        held = await hold_goal(ctx, user_id, goal_id)
    except NotFound:
        return None
    split = await kept.get_split(ctx.db, split_id)
    if split is None or split.status != SplitStatus.GENERATING:
        return None
    return Work(held, split)


async def _note(ctx: Context, attempt: Attempt, answered: Answered) -> None:
    """Also where nobody wants it any more: it was written, and is paid for."""
    await kept.note_answer(ctx.db, attempt.split_id, tokens=answered.tokens, digest=answered.digest)


def _is_current(split: kept.Split, attempt: Attempt) -> bool:
    return (
        split.status == SplitStatus.GENERATING
        and split.attempts == attempt.number
        and split.goal_id is not None
    )

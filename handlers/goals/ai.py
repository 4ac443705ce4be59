"""Goals that a model splits: asked for, stopped, and what comes of the suggestions."""

from datetime import timedelta

from handlers.goals.ai_answers import fold_title
from handlers.goals.ai_payloads import (
    AcceptSuggestion,
    AskModel,
    CancelSplit,
    RefuseSuggestion,
    SplitGoal,
    Splitting,
)
from handlers.goals.ai_prompts import MAX_SUGGESTIONS, MAX_TOKENS, hash_question
from handlers.goals.ai_steps import Work, end_split, put_suggestions, tell_end
from handlers.goals.declared import CHANGE_RATE, ask_model, goals
from handlers.goals.payloads import Goal, Split
from handlers.goals.settling import Held, hold_goal, settle_goal
from handlers.goals.stages import MAX_STAGES, put_stage
from server.context import Context
from server.contract import EVERYONE
from server.errors import Conflict, NotFound, QuotaExceeded, RateLimited
from server.limits import Rate
from storage import goals as kept
from storage.goals import SplitStatus, Suggestion, SuggestionState

SPLIT_RATE = Rate(10, per=60)
DAY = timedelta(days=1)
MOST_FOR_ONE = MAX_TOKENS + 1_000
"""Tokens, with those of the question, that are set aside for a split while it goes on."""

MAX_EARLIER = 100


@goals.on("ai:split", roles=EVERYONE, rate=SPLIT_RATE)
async def split(ctx: Context, request: SplitGoal) -> Splitting:
    """Have a model suggest stages for a goal: `stage:suggested` tells each as it is written.

    What was suggested before and not accepted is put away. For the same title and description no
    model is asked again: what it suggested then is suggested once more, but for the stages that
    the goal has. A person has a budget of the model's tokens for 24 hours; when it is spent,
    `retry_after` says when there is room again.

    Raises: not_found, conflict, quota_exceeded, rate_limited.
    """
    held = await hold_goal(ctx, ctx.user.id, request.goal_id)
    goal, model = held.goal, ctx.runtime.writer.model
    last = await kept.get_last_split(ctx.db, goal.id)
    if goal.archived_at is not None or (last and last.status == SplitStatus.GENERATING):
        raise Conflict
    digest = hash_question(model, held.person.locale, goal.title, goal.description)
    titles = await _list_earlier(ctx, held, digest)
    if not titles:
        await _check_budget(ctx, held)
    await kept.forget_splits(ctx.db, held.person.id, goal.id, before=ctx.now - DAY, but=digest)
    row = await kept.add_split(
        ctx.db, held.person.id, goal.id, digest=digest, model=model, now=ctx.now
    )
    await settle_goal(ctx, held)
    if titles:
        work = Work(held, row)
        await put_suggestions(ctx, work, titles)
        await end_split(ctx, work)
    else:
        ctx.enqueue(ask_model, AskModel(split_id=row.id), key=str(row.id))
    return Splitting(status=SplitStatus.GENERATING)


@goals.on("ai:cancel", roles=EVERYONE, rate=CHANGE_RATE)
async def cancel(ctx: Context, request: CancelSplit) -> Split:
    """Stop a model that is writing; what it has suggested stays. One that is done stays done.

    Raises: not_found.
    """
    held = await hold_goal(ctx, ctx.user.id, request.goal_id)
    row = await kept.get_last_split(ctx.db, held.goal.id)
    if row is None:
        raise NotFound
    if row.status != SplitStatus.GENERATING:
        return Split.of((await kept.list_proposals(ctx.db, [held.goal.id]))[held.goal.id])
    row.status = SplitStatus.CANCELED
    ctx.cancel(ask_model, key=str(row.id))
    return await tell_end(ctx, Work(held, row))


@goals.on("suggestion:accept", roles=EVERYONE, rate=CHANGE_RATE)
async def accept(ctx: Context, request: AcceptSuggestion) -> Goal:
    """Make a stage of a suggestion, with its title or another.

    Raises: not_found, conflict, quota_exceeded.
    """
    held, suggestion = await _access_suggestion(ctx, request.suggestion_id)
    suggestion.state = SuggestionState.ACCEPTED
    await put_stage(
        ctx,
        held,
        title=request.title or suggestion.title,
        weight=request.weight,
        after_stage_id=request.after_stage_id,
    )
    return await settle_goal(ctx, held)


@goals.on("suggestion:refuse", roles=EVERYONE, rate=CHANGE_RATE)
async def refuse(ctx: Context, request: RefuseSuggestion) -> Goal:
    """Put a suggestion away.

    Raises: not_found, conflict.
    """
    held, suggestion = await _access_suggestion(ctx, request.suggestion_id)
    suggestion.state = SuggestionState.REFUSED
    return await settle_goal(ctx, held)


async def _access_suggestion(ctx: Context, suggestion_id: int) -> tuple[Held, Suggestion]:
    """One that nobody has decided on. Raises: NotFound, Conflict."""
    found = await kept.get_suggestion(ctx.db, suggestion_id)
    if found is None:
        raise NotFound
    held = await hold_goal(ctx, ctx.user.id, found.goal_id)
    suggestion = await kept.get_suggestion(ctx.db, suggestion_id)
    if suggestion is None:
        raise NotFound
    if suggestion.state != SuggestionState.OPEN:
        raise Conflict
    return held, suggestion


async def _list_earlier(ctx: Context, held: Held, digest: str) -> list[str]:
    """What was suggested before for this question and is no stage of the goal.

    Raises: QuotaExceeded, where there is no room for stages.
    """
    stages = await kept.list_stages(ctx.db, held.goal.id)
    if len(stages) >= MAX_STAGES:
        raise QuotaExceeded
    said = {fold_title(stage.title) for stage in stages}
    titles = {
        fold_title(title): title
        for title in await kept.list_earlier_titles(
            ctx.db, held.person.id, digest, limit=MAX_EARLIER
        )
    }
    return [title for folded, title in titles.items() if folded not in said][:MAX_SUGGESTIONS]


async def _check_budget(ctx: Context, held: Held) -> None:
    """Raises: RateLimited."""
    spent = await kept.measure_spending(ctx.db, held.person.id, ctx.now - DAY)
    most = ctx.runtime.settings.ai_daily_tokens
    if spent.since and spent.tokens + MOST_FOR_ONE * (spent.running + 1) > most:
        raise RateLimited(retry_after=(spent.since + DAY - ctx.now).total_seconds())

"""Goals, later: a model is asked, and what it suggests is told while it is writing."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from handlers.goals import ask_model
from handlers.goals.ai_answers import AnswerReader, BadAnswer
from handlers.goals.ai_payloads import AskModel
from handlers.goals.ai_prompts import MAX_TOKENS, Prompt, estimate_tokens, write_prompt
from handlers.goals.ai_steps import (
    Attempt,
    Cost,
    Trouble,
    add_suggestion,
    begin_attempt,
    break_off,
    finish_attempt,
    is_going_on,
)
from jobs.perform import Retry, implements
from server.context import Context
from server.log import get_logger
from server.services import Refused, TryLater, Usage, Writer
from server.tasks import end_tasks

log = get_logger(__name__)

ANSWER_TIMEOUT = 45.0
"""Seconds for a whole answer; the job has some more, for all else."""

LOOK_EVERY = 0.5
"""Seconds until a model stops that somebody does not want to hear any more."""


@dataclass
class Bill:
    """What an answer costs, as far as it has come."""

    prompt: Prompt
    model: str
    written: int = 0
    usage: Usage | None = None

    def waive(self) -> None:
        """It failed: nothing is to be paid for, unless something was written."""
        if not self.written:
            self.usage = Usage(self.model, 0, 0)

    @property
    def cost(self) -> Cost:
        if self.usage is not None:
            return Cost(self.usage.model, self.usage.read + self.usage.written)
        return Cost(self.model, estimate_tokens(self.prompt, self.written))


@implements(ask_model)
async def suggest_stages(ctx: Context, payload: AskModel) -> None:
    """Ask for stages, or for the rest of them where a worker has died.

    Each suggestion is a unit of work of its own, and none is open while the model thinks.
    """
    async with ctx.work() as work:
        attempt = await begin_attempt(work, payload.split_id)
    if attempt is None:
        return
    prompt = write_prompt(
        attempt.title,
        attempt.description,
        said=attempt.said,
        most=attempt.most,
        locale=attempt.locale,
    )
    bill = Bill(prompt, ctx.runtime.writer.model)
    trouble = await _pass_on(ctx, attempt, bill)
    if trouble is None:
        await finish_attempt(ctx, attempt, bill.cost)
        return
    log.warning("ai.trouble", reason=trouble.reason, attempt=attempt.number)
    async with ctx.work() as work:
        pause = await break_off(work, attempt, bill.cost, trouble)
    if pause is not None:
        raise Retry(after=pause)


async def _pass_on(ctx: Context, attempt: Attempt, bill: Bill) -> Trouble | None:
    """Tell the person of every stage at once; what kept the answer from being whole."""
    titles = read_titles(ctx.runtime.writer, attempt, bill)
    try:
        async with (
            asyncio.timeout(ANSWER_TIMEOUT) as limit,
            _watching(ctx, attempt, limit),
            contextlib.aclosing(titles),
        ):
            async for title in titles:
                async with ctx.work() as work:
                    if not await add_suggestion(work, attempt, title):
                        break
    except Trouble as trouble:
        return trouble
    except TimeoutError:
        if not limit.expired():
            raise
        return Trouble("unavailable")
    return None


async def read_titles(writer: Writer, attempt: Attempt, bill: Bill) -> AsyncGenerator[str, None]:
    """The stages of one answer, each as soon as it is whole. Raises: Trouble."""
    reader = AnswerReader(most=attempt.most, said=attempt.said)
    try:
        async with contextlib.aclosing(writer.write(*bill.prompt, max_tokens=MAX_TOKENS)) as answer:
            async for part in answer:
                if isinstance(part, Usage):
                    bill.usage = part
                    continue
                bill.written += len(part)
                for title in reader.read(part):
                    yield title
                if not reader.wants_more:
                    break
        reader.finish()
    except BadAnswer as fault:
        raise Trouble(fault.reason) from None
    except TryLater as busy:
        bill.waive()
        raise Trouble("busy", timedelta(seconds=busy.seconds)) from None
    except Refused as refusal:
        bill.waive()
        # Nobody but an operator can mend it.
        log.error("ai.refused", reason=str(refusal))  # noqa: TRY400 - the trace says no more
        raise Trouble("refused", pause=None) from None
    except Exception as error:
        bill.waive()
        log.warning("ai.unavailable", error=type(error).__name__)
        raise Trouble("unavailable") from None


@contextlib.asynccontextmanager
async def _watching(ctx: Context, attempt: Attempt, limit: asyncio.Timeout) -> AsyncIterator[None]:
    """End the wait when the split is canceled, wherever that was asked for, or the goal is gone."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            # A database that is away ends nothing: the next look may find it.
            with contextlib.suppress(Exception):
                async with Context.open(ctx.runtime, write=False) as look:
                    if not await is_going_on(look, attempt):
                        break
        limit.reschedule(asyncio.get_running_loop().time())

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        await end_tasks([watching])

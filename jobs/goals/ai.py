"""Goals, later: a model is asked, and what it suggests is told while it is writing."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from handlers.goals import ask_model
from handlers.goals.ai_answers import AnswerReader, BadAnswer
from handlers.goals.ai_payloads import AskModel
from handlers.goals.ai_prompts import MAX_TOKENS, Prompt, estimate_tokens, write_prompt
from handlers.goals.ai_steps import (
    Answered,
    Attempt,
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
class Record:
    """What an answer says and costs, as far as it has come."""

    prompt: Prompt
    model: str
    written: int = 0
    usage: Usage | None = None

    def __post_init__(self) -> None:
        self._said = hashlib.sha256()

    def note(self, piece: str) -> None:
        self.written += len(piece)
        self._said.update(piece.encode("utf-8", "surrogatepass"))

    def waive(self) -> None:
        """It failed: nothing is to be paid for, unless something was written."""
        if not self.written:
            self.usage = Usage(self.model, 0, 0)

    @property
    def answered(self) -> Answered:
        digest = self._said.hexdigest() if self.written else None
        if self.usage is not None:
            return Answered(self.usage.model, self.usage.read + self.usage.written, digest)
        return Answered(self.model, estimate_tokens(self.prompt, self.written), digest)


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
    record = Record(prompt, ctx.runtime.writer.model)
    trouble = await _pass_on(ctx, attempt, record)
    if trouble is None:
        await finish_attempt(ctx, attempt, record.answered)
        return
    log.warning("ai.trouble", reason=trouble.reason, attempt=attempt.number)
    async with ctx.work() as work:
        pause = await break_off(work, attempt, record.answered, trouble)
    if pause is not None:
        raise Retry(after=pause)


async def _pass_on(ctx: Context, attempt: Attempt, record: Record) -> Trouble | None:
    """Tell the person of every stage at once; what kept the answer from being whole."""
    titles = read_titles(ctx.runtime.writer, attempt, record)
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


async def read_titles(
    writer: Writer, attempt: Attempt, record: Record
) -> AsyncGenerator[str, None]:
    """The stages of one answer, each as soon as it is whole. Raises: Trouble."""
    reader = AnswerReader(most=attempt.most, said=attempt.said)
    try:
        async with contextlib.aclosing(
            writer.write(*record.prompt, max_tokens=MAX_TOKENS)
        ) as answer:
            async for part in answer:
                if isinstance(part, Usage):
                    record.usage = part
                    continue
                record.note(part)
                for title in reader.read(part):
                    yield title
                if not reader.wants_more:
                    break
        reader.finish()
    except BadAnswer as fault:
        raise Trouble(fault.reason) from None
    except TryLater as busy:
        record.waive()
        raise Trouble("busy", timedelta(seconds=busy.seconds)) from None
    except Refused as refusal:
        record.waive()
        # Nobody but an operator can mend it.
        log.error("ai.refused", reason=str(refusal))  # noqa: TRY400 - the trace says no more
        raise Trouble("refused", pause=None) from None
    except Exception as error:
        record.waive()
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

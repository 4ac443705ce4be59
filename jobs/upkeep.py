"""Upkeep: forgetting what has been kept long enough. The job asks for itself again."""

from datetime import timedelta

from handlers.accounts.exports import sweep_exports
from handlers.goals import plan_count
from handlers.uploads import sweep
from handlers.uploads.payloads import SweepUploads
from jobs.perform import implements
from server.context import Context
from server.outgoing import Job
from server.payload import Payload
from server.runtime import Runtime
from storage import accounts, dead_jobs, events, replies

EVERY = timedelta(hours=1)
FIRST = timedelta(minutes=5)
"""Whoever starts has more urgent things to do."""

DEAD_JOBS_KEPT = timedelta(days=90)
MAX_STREAM = 10_000
REPLIES_KEPT = timedelta(days=7)
TOKENS_KEPT = timedelta(days=7)


class Prune(Payload):
    """Nothing but the wish."""


prune = Job("upkeep.prune", Prune)


async def plan_upkeep(runtime: Runtime) -> None:
    """See to it that upkeep is planned; one that is pending keeps its time."""
    async with Context.open(runtime) as ctx:
        ctx.enqueue(prune, Prune(), key="prune", delay=FIRST)
        ctx.enqueue(sweep, SweepUploads(), key="sweep", delay=FIRST)
        plan_count(ctx, delay=FIRST)


@implements(prune)
async def run_prune(ctx: Context, payload: Prune) -> None:
    """Shorten the event log by age and length, and drop old replies, tokens and exports, in small steps."""
    await prune_all(ctx)
    ctx.enqueue(prune, Prune(), key="prune", delay=EVERY)


async def prune_all(ctx: Context, max_stream: int = MAX_STREAM) -> None:
    keep = timedelta(days=ctx.runtime.settings.stream_retention_days)
    gone = events.PRUNE_CHUNK
    while gone == events.PRUNE_CHUNK:
        async with ctx.work() as work:
            gone = await events.prune_old(work.db, ctx.now - keep)
    after: tuple[int, str] | None = (0, "")
    while after is not None:
        async with ctx.work() as work:
            after = await events.prune_long(work.db, max_stream, after)
    gone = replies.PRUNE_CHUNK
    while gone == replies.PRUNE_CHUNK:
        async with ctx.work() as work:
            gone = await replies.prune_replies(work.db, ctx.now - REPLIES_KEPT)
    await sweep_exports(ctx)
    async with ctx.work() as work:
        await accounts.prune_tokens(work.db, ctx.now - TOKENS_KEPT)
        await dead_jobs.prune(work.db, ctx.now - DEAD_JOBS_KEPT)

"""What a diary comes to: series, comparisons and correlations.

They are reckoned by the database and remembered for a while. The diary's revision is part of the
key: it is read before anything is reckoned, so that what is remembered under it is never older.
"""

import hashlib
from collections.abc import Awaitable, Callable

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from handlers.accounts.periods import Days
from handlers.care import access_patient
from handlers.chat import CARE
from handlers.mood.calendar import (
    MAX_BUCKETS,
    MAX_CORRELATED,
    MAX_DAYS,
    Span,
    count_buckets,
    list_buckets,
)
from handlers.mood.correlation import correlate, pair_days
from handlers.mood.declared import READ, RECKON_RATE, mood
from handlers.mood.payloads import (
    Bucket,
    Comparison,
    Correlation,
    GetComparison,
    GetCorrelation,
    GetSeries,
    Series,
    Statistics,
)
from server.context import Context
from server.errors import Invalid
from server.outgoing import Value
from storage import mood as diaries
from storage.mood import Variable, VariableKind

REMEMBERED = 600
"""Seconds."""

Asked = GetSeries | GetComparison | GetCorrelation


@mood.on("series:get", roles=CARE, rate=RECKON_RATE, reads=True)
async def get_series(ctx: Context, request: GetSeries) -> Series:
    """The lowest, highest and mean score of each day, ISO week or month, one's own or a patient's.

    The mean is that of the entries of a bucket, not of its days. Buckets are whole, but only
    entries from `from` to `to` count; there may be 400 of them. Those without entries have `n` 0
    and null for all else.

    Raises: invalid, not_found.
    """
    if count_buckets(_span(request), request.period) > MAX_BUCKETS:
        raise Invalid.of("to", "too_many", f"At most {MAX_BUCKETS} buckets")

    async def reckon(db: AsyncSession, user_id: int) -> Series:
        found = await diaries.list_figures(db, user_id, *_span(request), request.period)
        buckets = [
            Bucket.of(bucket, found.get(bucket.start, diaries.NO_ENTRIES))
            for bucket in list_buckets(_span(request), request.period)
        ]
        return Series(period=request.period, buckets=buckets)

    return await _remember(ctx, "series:get", request, Series, reckon)


@mood.on("compare:get", roles=CARE, rate=RECKON_RATE, reads=True)
async def compare(ctx: Context, request: GetComparison) -> Comparison:
    """Two periods of equal length, of ten years at most: their scores, and how the means differ.

    A mean is that of all entries of a period. How many those are, `n`, says what it is worth.

    Raises: invalid, not_found.
    """
    if _span(request.a).days != _span(request.b).days:
        raise Invalid.of("b", "unequal", "Both periods must have as many days")
    _check_days("a.to", _span(request.a), MAX_DAYS)

    async def reckon(db: AsyncSession, user_id: int) -> Comparison:
        a = await diaries.get_figures(db, user_id, *_span(request.a))
        b = await diaries.get_figures(db, user_id, *_span(request.b))
        return Comparison(
            a=Statistics.of(request.a, a),
            b=Statistics.of(request.b, b),
            difference=None if a.mean is None or b.mean is None else b.mean - a.mean,
        )

    return await _remember(ctx, "compare:get", request, Comparison, reckon)


@mood.on("correlation:get", roles=CARE, rate=RECKON_RATE, reads=True)
async def get_correlation(ctx: Context, request: GetCorrelation) -> Correlation:
    """Whether two daily numbers rise and fall together: Spearman's rho, with ties, and its p.

    Only days with entries count; both days of a pair are from `from` to `to`, which may be three
    years apart. `p` is two-sided, from Student's t with n - 2 degrees of freedom. Both are null
    with fewer than ten pairs, and where one of the numbers never changes.

    Raises: invalid, not_found.
    """
    _check_days("to", _span(request), MAX_CORRELATED)

    async def reckon(db: AsyncSession, user_id: int) -> Correlation:
        variables = _read_variable(request.x), _read_variable(request.y)
        days = await diaries.list_days(db, user_id, *_span(request), *variables)
        x, y = {day.date: day.x for day in days}, {day.date: day.y for day in days}
        found = correlate(pair_days(x, y, request.lag))
        return Correlation(x=request.x, y=request.y, lag=request.lag, **found._asdict())

    return await _remember(ctx, "correlation:get", request, Correlation, reckon)


async def _remember(
    ctx: Context,
    event: str,
    request: Asked,
    kind: type[Value],
    reckon: Callable[[AsyncSession, int], Awaitable[Value]],
) -> Value:
    """The answer as it was reckoned before, from the same entries, or else reckoned now.

    Raises: NotFound.
    """
    user_id = await access_patient(ctx, request.patient_id, READ, event)
    async with ctx.work() as inner:
        revision = await diaries.get_revision(inner.db, user_id)
    about = request.model_dump_json(exclude={"patient_id"})
    key = f"mood:{user_id}:{revision}:{event}:{hashlib.sha256(about.encode()).hexdigest()}"
    if before := await ctx.cache.get(key):
        try:
            return kind.model_validate_json(before)
        except ValidationError:
            # Of another version of this server.
            pass
    async with ctx.work() as inner:
        value = await reckon(inner.db, user_id)
    await ctx.cache.put(key, value.model_dump_json(), REMEMBERED)
    return value


def _span(days: Days) -> Span:
    return Span(days.start, days.end)


def _check_days(path: str, span: Span, most: int) -> None:
    if span.days > most:
        raise Invalid.of(path, "too_long", f"At most {most} days")


def _read_variable(text: str) -> Variable:
    kind, _, name = text.partition(":")
    return Variable(VariableKind(kind), name.strip())

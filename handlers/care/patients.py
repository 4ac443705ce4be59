"""A psychologist's patients, and how one of them has been over time."""

from handlers.accounts.periods import ONE_DAY
from handlers.accounts.person import Person
from handlers.accounts.profile import access_user
from handlers.care.access import access_patient
from handlers.care.condition import load_conditions
from handlers.care.declared import PSYCHOLOGIST, RATE, care
from handlers.care.payloads import (
    Activity,
    DayMood,
    GetStats,
    LastResult,
    ListPatients,
    MoodStats,
    Patient,
    Stats,
)
from server.context import Context
from server.errors import Invalid
from server.payload import Page
from storage import assessments, mood
from storage import care as relations

MAX_DAYS = 400
MAX_RESULTS = 1000
"""Of a period; older ones are left out."""


@care.on("patient:list", roles=PSYCHOLOGIST, rate=RATE, reads=True)
async def list_patients(ctx: Context, request: ListPatients) -> Page[Patient]:
    """The psychologist's patients: how they are, and what of theirs is unread.

    Sorted by `since` (who came last is first), `name`, `last_seen`, `unread`, `alerts` or `mood`
    (the lowest first). `patient:updated` tells what has changed, `unread:changed` in /chat how
    much is unread.
    """
    async with ctx.work() as work:
        rows, total = await relations.list_patients(
            work.db, ctx.user.id, sort=request.sort, skip=request.skip, limit=request.limit
        )
    ids = [row.user.id for row in rows]
    if ids:
        # Written before anything is read.
        async with ctx.work(write=True) as work:
            work.audit("patient.listed", patient_ids=ids)
    conditions = await load_conditions(ctx, ids)
    items = [Patient.of(row, conditions[row.user.id], ctx.link) for row in rows]
    return Page[Patient].of(request, items, total)


@care.on("patient:stats", roles=PSYCHOLOGIST, rate=RATE, reads=True)
async def get_stats(ctx: Context, request: GetStats) -> Stats:
    """A patient's mood, results and activity in a period of the patient's own days.

    At most 400 days. Days without entries are left out; of more than 1,000 results the latest.
    `patient:updated` has each day whose entries change, `result:created` in /assessments new
    results.

    Raises: invalid, not_found.
    """
    if request.end - request.start >= MAX_DAYS * ONE_DAY:
        raise Invalid.of("to", "too_long", f"At most {MAX_DAYS} days")
    patient_id = await access_patient(ctx, request.patient_id, "patient.read", "patient:stats")
    user = await access_user(ctx, patient_id)
    days = (request.start, request.end)
    figures = await mood.get_figures(ctx.db, patient_id, *days)
    by_day = await mood.list_figures(ctx.db, patient_id, *days, mood.PeriodName.DAY)
    after, before = request.bounds(user.time_zone)
    results, total = await assessments.list_outlines(
        ctx.db, patient_id, after=after, before=before, limit=MAX_RESULTS
    )
    return Stats(
        patient=Person.of(user, ctx.link),
        mood=MoodStats(
            **figures._asdict(),
            days=[DayMood(date=day, **by_day[day]._asdict()) for day in sorted(by_day)],
        ),
        results=[LastResult.of(row, code) for row, code in reversed(results)],
        activity=Activity(
            entries=figures.n, results=total, days=len(by_day), last_seen_at=user.last_seen_at
        ),
    )

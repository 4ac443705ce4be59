"""How patients are: what their psychologists have before their eyes, and hear of at once."""

from collections import defaultdict
from collections.abc import Collection
from datetime import date

from handlers.care.declared import patient_updated
from handlers.care.payloads import Condition, DayFigures, LastMood, LastResult
from server.context import Context
from storage import assessments, mood, notifications
from storage import care as relations


async def tell_condition(
    ctx: Context,
    patient_id: int,
    psychologist_ids: Collection[int],
    *,
    also: Collection[int] = (),
    days: Collection[date] = (),
) -> None:
    """Tell the psychologists how their patient is, after a change in this transaction.

    `days` are those on which entries have changed: whoever looks at them need not ask again.

    Of changes at the same moment the one that is told last has seen the others: each has the
    patient's row first. `also` are people whose feeds are to change in this transaction; their
    rows are locked with it, in one order.
    """
    await notifications.lock_feeds(ctx.db, {patient_id, *psychologist_ids, *also})
    if psychologist_ids:
        condition = (await load_conditions(ctx, [patient_id]))[patient_id]
        told = condition.model_copy(update={"days": await _load_days(ctx, patient_id, days)})
        ctx.push(patient_updated, told, to=psychologist_ids)


async def introduce(ctx: Context, patient_id: int, psychologist_id: int) -> None:
    """Tell a new psychologist how their patient is, if there is anything to tell."""
    condition = (await load_conditions(ctx, [patient_id]))[patient_id]
    if condition.last_mood or condition.last_results:
        ctx.push(patient_updated, condition, to=[psychologist_id])


async def _load_days(ctx: Context, patient_id: int, days: Collection[date]) -> list[DayFigures]:
    if not days:
        return []
    found = await mood.find_days(ctx.db, patient_id, days)
    return [
        DayFigures(date=day, **found.get(day, mood.NO_ENTRIES)._asdict()) for day in sorted(days)
    ]


async def load_conditions(ctx: Context, patient_ids: Collection[int]) -> dict[int, Condition]:
    """How each of these people is, in three statements."""
    moods = await relations.find_last_moods(ctx.db, patient_ids)
    alerts = await assessments.count_alerts(ctx.db, patient_ids)
    results: dict[int, list[LastResult]] = defaultdict(list)
    for row, code in await assessments.list_latest(ctx.db, patient_ids):
        results[row.user_id].append(LastResult.of(row, code))
    return {
        patient_id: Condition(
            patient_id=patient_id,
            last_mood=LastMood.model_validate(moods[patient_id]) if patient_id in moods else None,
            last_results=results[patient_id],
            open_alerts=alerts[patient_id],
        )
        for patient_id in patient_ids
    }

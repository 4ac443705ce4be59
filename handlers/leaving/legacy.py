"""What somebody leaves behind: alerts and notes, tests, files, and all that is theirs alone."""

from collections.abc import Collection

from handlers.accounts.exports import forget_archives
from handlers.assessments import escalate
from handlers.assessments.declared import alert_acknowledged, alert_resolved, alerts_erased
from handlers.assessments.payloads import Alert, AlertsErased
from handlers.leaving.steps import Cursor, Leaver, Moved
from handlers.notifications import read_subjects
from handlers.uploads import discard
from server.context import Context
from storage import accounts, leaving
from storage import assessments as tests
from storage.accounts import Status
from storage.assessments import AlertStatus
from storage.leaving.legacy import CHUNK

FILES_CHUNK = 100


async def forget_alerts(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """Alerts about the leaver are gone; whoever was told of them need not look any more."""
    ids = await leaving.delete_alerts(ctx.db, leaver.user_id)
    if not ids:
        return Moved(0)
    told = (await _list_told(ctx, [leaver.user_id]))[leaver.user_id]
    for alert_id in ids:
        ctx.cancel(escalate, key=str(alert_id))
    await read_subjects(ctx, [(one, f"alert:{alert_id}") for one in told for alert_id in ids])
    ctx.push(alerts_erased, AlertsErased(alert_ids=ids), to=told)
    return Moved(len(ids), [] if len(ids) == CHUNK else None)


async def forget_notes(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """Alerts about others stay settled, without what the leaver noted."""
    rows = await leaving.blank_notes(ctx.db, leaver.user_id)
    if not rows:
        return Moved(0)
    told = await _list_told(ctx, {row.patient_id for row in rows})
    for raised in await tests.load_alerts(ctx.db, [row.id for row in rows]):
        is_resolved = raised.alert.status == AlertStatus.RESOLVED
        push = alert_resolved if is_resolved else alert_acknowledged
        ctx.push(push, Alert.of(raised, ctx.link), to=told[raised.patient.id])
    return Moved(len(rows), [] if len(rows) == CHUNK else None)


async def forget_tests(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """The leaver's own tests: those that others have answered stay, retired, of no author."""
    ids = await leaving.lock_own_tests(ctx.db, leaver.user_id)
    await leaving.disown_tests(ctx.db, ids)
    return Moved(len(ids), [] if len(ids) == CHUNK else None)


async def forget_files(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    ids = await leaving.list_upload_ids(ctx.db, leaver.user_id, FILES_CHUNK)
    await discard(ctx, ids)
    return Moved(len(ids), [] if len(ids) == FILES_CHUNK else None)


async def forget_exports(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    rows = await accounts.delete_exports(ctx.db, leaver.user_id)
    forget_archives(ctx, rows)
    return Moved(len(rows))


async def forget_belongings(ctx: Context, leaver: Leaver, cursor: Cursor) -> Moved:
    """Every row that is nobody else's: settings, diary, goals, results, the feed, the log."""
    count, was_all = await leaving.delete_belongings(ctx.db, leaver.user_id)
    return Moved(count, None if was_all else [])


async def _list_told(ctx: Context, patient_ids: Collection[int]) -> dict[int, list[int]]:
    """Who was told of each of these people's alerts, or may have been."""
    guardians = await leaving.list_guardians(ctx.db, patient_ids)
    # Those who may be back one day as well.
    admins = await accounts.list_admins(ctx.db, set(Status) - {Status.ERASED})
    return {patient_id: sorted({*some, *admins}) for patient_id, some in guardians.items()}

"""Alerts: raised by an answer, looked at by somebody, escalated when nobody does."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple

from handlers import notifications
from handlers.assessments.declared import (
    ALERT,
    AUTHOR,
    CHANGE_RATE,
    ESCALATE_AGAIN,
    READ_RATE,
    alert_acknowledged,
    alert_raised,
    alert_resolved,
    assessments,
    escalate,
)
from handlers.assessments.payloads import Alert, Escalate, ListAlerts, SettleAlert
from handlers.care import tell_condition
from server import texts
from server.context import Context
from server.errors import NotFound
from server.outgoing import Push
from server.payload import Page
from storage import accounts
from storage import assessments as tests
from storage import care as relations
from storage.accounts import Role, Status
from storage.assessments import AlertStatus, Form, Result
from storage.notifications import NewNotification

MAX_PATIENTS = 1000
"""Of one psychologist, whose alerts are listed."""

MAX_HANDED_OVER = 100
"""Alerts of one patient, the oldest ones; the others come to the admins when their time is up."""


@assessments.on("alert:list", roles=AUTHOR, rate=READ_RATE, reads=True)
async def list_alerts(ctx: Context, request: ListAlerts) -> Page[Alert]:
    """The alerts of one's patients; for admins those that no psychologist has, or had in time."""
    async with ctx.work() as work:
        patients = None
        if ctx.user.role == Role.PSYCHOLOGIST:
            patients = await relations.list_patient_ids(work.db, ctx.user.id, limit=MAX_PATIENTS)
        rows, total = await tests.list_alerts(
            work.db,
            patient_ids=patients,
            status=request.status,
            skip=request.skip,
            limit=request.limit,
        )
    if rows:
        async with ctx.work(write=True) as work:
            patient_ids = sorted({row.patient.id for row in rows})
            work.audit("alert.listed", patient_ids=patient_ids)
    items = [Alert.of(row, ctx.link) for row in rows]
    return Page[Alert].of(request, items, total)


@assessments.on("alert:acknowledge", roles=AUTHOR, rate=CHANGE_RATE)
async def acknowledge(ctx: Context, request: SettleAlert) -> Alert:
    """Say that one looks after it: nobody is told of it any more. What was settled stays so.

    Raises: not_found.
    """
    return await _settle(
        ctx,
        request,
        alert_acknowledged,
        of=(AlertStatus.OPEN,),
        status=AlertStatus.ACKNOWLEDGED,
        acknowledged_at=ctx.now,
        acknowledged_by=ctx.user.id,
    )


@assessments.on("alert:resolve", roles=AUTHOR, rate=CHANGE_RATE)
async def resolve(ctx: Context, request: SettleAlert) -> Alert:
    """Say that what had to be done is done. What was resolved stays so.

    Raises: not_found.
    """
    return await _settle(
        ctx,
        request,
        alert_resolved,
        of=(AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED),
        status=AlertStatus.RESOLVED,
        resolved_at=ctx.now,
        resolved_by=ctx.user.id,
    )


class Guardians(NamedTuple):
    """Who must look at an alert; whether it is for all admins, those of later too."""

    ids: Collection[int]
    for_admins: bool


NOBODY = Guardians((), for_admins=False)


async def find_guardians(ctx: Context, psychologists: Sequence[int]) -> Guardians:
    """The psychologists, or else the admins: also where none of the psychologists may sign in."""
    if await accounts.has_psychologist(ctx.db, psychologists):
        return Guardians(psychologists, for_admins=False)
    admins = await accounts.list_admins(ctx.db, [Status.ACTIVE])
    return Guardians({*psychologists, *admins}, for_admins=True)


async def raise_alerts(
    ctx: Context,
    result: Result,
    form: Form,
    alarming: Sequence[tuple[str, float]],
    guardians: Guardians,
) -> None:
    """Raise an alert for each of these answers (a question's code, and its score)."""
    questions = {item.question.code: item.question.id for item in form.items}
    ids = await tests.add_alerts(
        ctx.db,
        [
            {
                "patient_id": result.user_id,
                "result_id": result.id,
                "question_id": questions[code],
                "score": score,
                "status": AlertStatus.OPEN,
                "for_admins": guardians.for_admins,
                "raised_at": ctx.now,
            }
            for code, score in alarming
        ],
    )
    for alert_id in ids:
        _escalate_later(ctx, alert_id, times=0)
    await _alarm(ctx, ids, guardians.ids)


async def escalate_alert(ctx: Context, alert_id: int, times: int) -> None:
    """Bring an alert that nobody has acknowledged to the admins too, and to everybody again.

    Nothing is done when that was done already, for the time after so many `times`.
    """
    owner = await tests.get_alert_owner(ctx.db, alert_id)
    if owner is None:
        return
    psychologists = await relations.list_psychologists(ctx.db, owner[0])
    alert = await tests.lock_alert(ctx.db, alert_id)
    if alert is None or alert.status != AlertStatus.OPEN:
        return
    _escalate_later(ctx, alert_id, times=max(times + 1, alert.escalations))
    if alert.escalations != times:
        return
    await tests.update_alert(
        ctx.db, alert_id, for_admins=True, escalations=times + 1, escalated_at=ctx.now
    )
    guardians = {*psychologists, *await accounts.list_admins(ctx.db, [Status.ACTIVE])}
    await _alarm(ctx, [alert_id], guardians)
    for user_id in sorted(guardians):
        notifications.announce_soon(ctx, user_id, ALERT, _subject(alert_id))


async def hand_over(ctx: Context, patient_id: int) -> None:
    """Bring to the admins what waits for somebody, where no psychologist is left to look at it."""
    psychologists = await relations.list_psychologists(ctx.db, patient_id)
    if await accounts.has_psychologist(ctx.db, psychologists):
        return
    for alert in await tests.list_unresolved(ctx.db, patient_id, limit=MAX_HANDED_OVER):
        if alert.status == AlertStatus.OPEN:
            await escalate_alert(ctx, alert.id, alert.escalations)
        elif not alert.for_admins:
            await tests.update_alert(ctx.db, alert.id, for_admins=True)
            (raised,) = await tests.load_alerts(ctx.db, [alert.id])
            admins = await accounts.list_admins(ctx.db, [Status.ACTIVE])
            ctx.push(alert_acknowledged, Alert.of(raised, ctx.link), to=admins)


def _escalate_later(ctx: Context, alert_id: int, *, times: int) -> None:
    """After some minutes for the first time, and every day from then on."""
    minutes = timedelta(minutes=ctx.runtime.settings.alert_minutes)
    about = Escalate(alert_id=alert_id, times=times)
    ctx.enqueue(escalate, about, key=str(alert_id), delay=ESCALATE_AGAIN if times else minutes)


async def _alarm(ctx: Context, alert_ids: Collection[int], guardians: Collection[int]) -> None:
    people = await accounts.find_named(ctx.db, guardians)
    for raised in await tests.load_alerts(ctx.db, alert_ids):
        ctx.push(alert_raised, Alert.of(raised, ctx.link), to=sorted(guardians))
        await notifications.notify(
            ctx,
            [
                NewNotification(
                    user_id=user_id,
                    type=ALERT.name,
                    subject=_subject(raised.alert.id),
                    title=raised.patient.name,
                    text=texts.get("notification.alert_text", people[user_id].locale),
                    link="/alerts",
                    data={"alert_id": raised.alert.id, "patient_id": raised.patient.id},
                )
                for user_id in sorted(guardians)
            ],
        )


async def _settle(
    ctx: Context,
    request: SettleAlert,
    push: Push[Alert],
    *,
    of: Collection[AlertStatus],
    **values: object,
) -> Alert:
    owner = await tests.get_alert_owner(ctx.db, request.alert_id)
    if owner is None:
        raise NotFound
    patient_id, for_admins = owner
    psychologists = await relations.list_psychologists(ctx.db, patient_id)
    if ctx.user.id not in psychologists and not (for_admins and ctx.user.role == Role.ADMIN):
        raise NotFound
    alert = await tests.lock_alert(ctx.db, request.alert_id)
    if alert is None:
        raise NotFound
    if alert.status in of:
        if request.note is not None:
            values["note"] = request.note
        await tests.update_alert(ctx.db, alert.id, **values)
        admins = await accounts.list_admins(ctx.db, [Status.ACTIVE]) if alert.for_admins else []
        await _tell_settled(ctx, alert.id, push, patient_id, psychologists, admins)
    else:
        ctx.audit("alert.read", subject_id=patient_id, alert_id=alert.id)
    (raised,) = await tests.load_alerts(ctx.db, [request.alert_id])
    return Alert.of(raised, ctx.link)


async def _tell_settled(
    ctx: Context,
    alert_id: int,
    push: Push[Alert],
    patient_id: int,
    psychologists: Sequence[int],
    admins: Sequence[int],
) -> None:
    guardians = sorted({*psychologists, *admins})
    await tell_condition(ctx, patient_id, psychologists, also=admins)
    await notifications.read_subjects(ctx, [(one, _subject(alert_id)) for one in guardians])
    ctx.cancel(escalate, key=str(alert_id))
    ctx.audit(push.name, subject_id=patient_id, alert_id=alert_id)
    (raised,) = await tests.load_alerts(ctx.db, [alert_id])
    ctx.push(push, Alert.of(raised, ctx.link), to=guardians)


def _subject(alert_id: int) -> str:
    return f"alert:{alert_id}"

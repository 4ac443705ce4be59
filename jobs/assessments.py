"""Assessments, later: alerts that nobody has acknowledged."""

from handlers.assessments import escalate
from handlers.assessments.alerts import escalate_alert
from handlers.assessments.payloads import Escalate
from jobs.perform import implements
from server.context import Context


@implements(escalate)
async def bring_to_admins(ctx: Context, payload: Escalate) -> None:
    await escalate_alert(ctx, payload.alert_id, payload.times)

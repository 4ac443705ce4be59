"""What assessments tell people and leave for later."""

from datetime import timedelta

from handlers import notifications
from handlers.assessments.payloads import Alert, AlertsErased, Draft, Escalate, Result
from server.contract import Namespace
from server.limits import Rate
from server.outgoing import Queue
from storage.accounts import Role

READ_RATE = Rate(60, per=10)
CHANGE_RATE = Rate(60, per=10)
SUBMIT_RATE = Rate(10, per=60)

PATIENT = frozenset({Role.PATIENT})
AUTHOR = frozenset({Role.PSYCHOLOGIST, Role.ADMIN})
PSYCHOLOGIST = frozenset({Role.PSYCHOLOGIST})
CARE = PATIENT | PSYCHOLOGIST

assessments = Namespace("/assessments", "Tests, what people answered, and what must not wait.")

result_created = assessments.push(
    "result:created", Result, "A test was answered: to the person and their psychologists."
)
draft_saved = assessments.push(
    "draft:saved", Draft, "Answers were saved, on this device of the person or another."
)
alert_raised = assessments.push(
    "alert:raised", Alert, "An answer must be looked at; told again, to more people, if nobody did."
)
alert_acknowledged = assessments.push("alert:acknowledged", Alert, "Somebody looks after an alert.")
alert_resolved = assessments.push("alert:resolved", Alert, "What an alert asked for was done.")
alerts_erased = assessments.push(
    "alert:erased", AlertsErased, "Alerts are gone: their patient erased the account."
)

escalate = assessments.job("assessments.escalate", Escalate, queue=Queue.GENERAL)

ALERT = notifications.declare_kind("alert", critical=True)

ESCALATE_AGAIN = timedelta(days=1)
"""How often an alert that nobody has acknowledged is brought to everybody once more."""

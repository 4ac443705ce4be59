"""What alerts look like on the wire."""

from typing import Annotated

from pydantic import Field as Bounds
from pydantic import Strict

from handlers.accounts.person import Person
from handlers.assessments.payloads.tests import Number, number
from handlers.uploads import Link
from server.payload import Change, Id, Instant, PageRequest, Payload
from storage.assessments import AlertStatus, Raised

Note = Annotated[str, Bounds(min_length=1, max_length=1000)]


class ListAlerts(PageRequest):
    status: Annotated[AlertStatus, Strict(False)] | None = None


class SettleAlert(Change):
    alert_id: Id
    note: Note | None = None


class Alert(Payload):
    """An answer that somebody must look at, and who did."""

    id: Id
    patient: Person
    result_id: Id
    test_id: Id
    code: str | None
    question_code: str
    score: Number
    status: AlertStatus
    raised_at: Instant
    escalated_at: Instant | None
    acknowledged_at: Instant | None
    acknowledged_by: Id | None
    resolved_at: Instant | None
    resolved_by: Id | None
    note: str | None

    @classmethod
    def of(cls, raised: Raised, link: Link) -> "Alert":
        row = raised.alert
        return cls(
            id=row.id,
            patient=Person.of(raised.patient, link),
            result_id=row.result_id,
            test_id=raised.test.id,
            code=raised.test.code,
            question_code=raised.question.code,
            score=number(row.score),
            status=AlertStatus(row.status),
            raised_at=row.raised_at,
            escalated_at=row.escalated_at,
            acknowledged_at=row.acknowledged_at,
            acknowledged_by=row.acknowledged_by,
            resolved_at=row.resolved_at,
            resolved_by=row.resolved_by,
            note=row.note,
        )


class AlertsErased(Payload):
    """These are gone, with whatever they were about."""

    alert_ids: list[Id]


class Escalate(Payload):
    """The job: nobody has acknowledged this alert in time, after so many times before."""

    alert_id: Id
    times: int

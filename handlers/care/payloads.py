"""What relations and patients look like on the wire."""

from datetime import date
from typing import Annotated

from pydantic import AliasChoices, Strict
from pydantic import Field as Bounds

from handlers.accounts.payloads import Email
from handlers.accounts.periods import Days
from handlers.accounts.person import Person
from handlers.uploads import Link
from server.payload import Change, Id, Instant, PageRequest, Payload
from storage.assessments import Result
from storage.care import Pair, PatientRow, RelationStatus, Sort


class Relation(Payload):
    psychologist: Person
    patient: Person
    status: RelationStatus
    since: Instant | None
    until: Instant | None

    @classmethod
    def of(cls, pair: Pair, link: Link) -> "Relation":
        return cls(
            psychologist=Person.of(pair.psychologist, link),
            patient=Person.of(pair.patient, link),
            status=RelationStatus(pair.relation.status),
            since=pair.relation.since,
            until=pair.relation.until,
        )


class Invite(Change):
    email: Email


class AnswerInvitation(Change):
    psychologist_id: Id


class ListRelations(PageRequest):
    pass


class EndRelation(Change):
    user_id: Id


class InvitationMail(Payload):
    """The job: tell an address without an account who would like to work with its owner."""

    psychologist_id: Id
    email: str
    locale: str


class Withdraw(Payload):
    """The job: the two work together no more."""

    psychologist_id: Id
    patient_id: Id


class ListPatients(PageRequest):
    sort: Annotated[Sort, Strict(False)] = Sort.SINCE


class LastMood(Payload):
    """How a person felt last, and when that was."""

    entry_id: Annotated[Id, Bounds(validation_alias=AliasChoices("id", "entry_id"))]
    score: int
    at: Instant


class LastResult(Payload):
    """A result in short; `severity` is a code."""

    result_id: Id
    test_id: Id
    code: str | None
    total: int | float
    severity: str | None
    flags: list[str]
    created_at: Instant

    @classmethod
    def of(cls, row: Result, code: str | None) -> "LastResult":
        return cls(
            result_id=row.id,
            test_id=row.test_id,
            code=code,
            total=row.total,
            severity=row.severity,
            flags=row.flags,
            created_at=row.created_at,
        )


class DayFigures(Payload):
    """The entries of a day. Without any all but `n` is null."""

    date: date
    n: int
    min: int | None
    max: int | None
    mean: float | None


class Condition(Payload):
    """How a patient is: the last mood, the last result of each test, alerts not yet resolved.

    `days` are those whose entries have just changed, as they are now.
    """

    patient_id: Id
    last_mood: LastMood | None
    last_results: list[LastResult]
    open_alerts: int
    # By default, because there are older ones in the log.
    days: list[DayFigures] = Bounds(default_factory=list)


class Patient(Payload):
    """A patient in the list; `unread` messages are those of the chat, if there is one."""

    patient: Person
    since: Instant | None
    last_seen_at: Instant | None
    chat_id: Id | None
    unread: int
    last_mood: LastMood | None
    last_results: list[LastResult]
    open_alerts: int

    @classmethod
    def of(cls, row: PatientRow, condition: Condition, link: Link) -> "Patient":
        return cls(
            patient=Person.of(row.user, link),
            since=row.since,
            last_seen_at=row.user.last_seen_at,
            chat_id=row.chat_id,
            unread=row.unread or 0,
            last_mood=condition.last_mood,
            last_results=condition.last_results,
            open_alerts=condition.open_alerts,
        )


class GetStats(Days):
    patient_id: Id


class DayMood(Payload):
    """The entries of a day."""

    date: date
    n: int
    min: int
    max: int
    mean: float


class MoodStats(Payload):
    """The entries of a period, together and by day; the mean is that of the entries."""

    n: int
    min: int | None
    max: int | None
    mean: float | None
    days: list[DayMood]


class Activity(Payload):
    """How many entries and results there are, and on how many days there is an entry."""

    entries: int
    results: int
    days: int
    last_seen_at: Instant | None


class Stats(Payload):
    """How a patient has been in a period; results with the oldest first."""

    patient: Person
    mood: MoodStats
    results: list[LastResult]
    activity: Activity

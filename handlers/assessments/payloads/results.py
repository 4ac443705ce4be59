"""What answers and results look like on the wire."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field as Bounds
from pydantic import Strict

from handlers.accounts.periods import Period
from handlers.assessments.definition import (
    pick,
)
from handlers.assessments.payloads.tests import Number, number, read_rules
from server.payload import Change, Id, Instant, PageRequest, Payload
from storage.assessments import Draft as DraftRow
from storage.assessments import Found
from storage.assessments import TestVersion as VersionRow


class Answer(Payload):
    """An answer; without an option the person would not say."""

    question_id: Id
    option_id: Id | None


Answers = Annotated[list[Answer], Bounds(max_length=100)]


class Submit(Change):
    id: Id
    answers: Answers


class SaveDraft(Change):
    """These answers are added to those saved before; without an option one is taken back."""

    test_id: Id
    answers: Answers


class GetDraft(Payload):
    test_id: Id


class Draft(Payload):
    """Answers on their way; of no version, and without a time, when there are none."""

    test_id: Id
    version: int | None
    answers: list[Answer]
    updated_at: Instant | None

    @classmethod
    def of(cls, test_id: int, found: tuple[DraftRow, VersionRow] | None) -> "Draft":
        if found is None:
            return cls(test_id=test_id, version=None, answers=[], updated_at=None)
        draft, version = found
        return cls(
            test_id=test_id,
            version=version.number,
            answers=[Answer(question_id=q, option_id=o) for q, o in draft.answers],
            updated_at=draft.updated_at,
        )


class Severity(Payload):
    code: str
    text: str


class AnswerScore(Payload):
    question_id: Id
    option_id: Id | None
    score: Number | None


class ScaleScore(Payload):
    """One scale's score, null where too much was left out. The first scale's is the total."""

    code: str
    total: Number | None
    severity: Severity | None


class Result(Payload):
    """What was answered and what it says. `version` and `language` are those it was answered in.

    `complete`: every scored question has an answer. `prorated`: what is missing was made up for.
    """

    id: Id
    test_id: Id
    code: str | None
    title: str
    version: int
    language: str
    user_id: Id
    total: Number
    severity: Severity | None
    scales: list[ScaleScore]
    breakdown: list[AnswerScore]
    complete: bool
    prorated: bool
    flags: list[str]
    created_at: Instant

    @classmethod
    def of(cls, found: Found, locale: str) -> "Result":
        row, test, version = found
        rules = read_rules(version)
        names = {
            scale.code: {band.code: pick(band.text, locale) for band in scale.bands}
            for scale in rules.scales
        }
        scales = [
            ScaleScore(
                code=code,
                total=None if total is None else number(total),
                severity=None if severity is None else _name(severity, names[code]),
            )
            for code, total, severity in row.scales
        ]
        return cls(
            id=row.id,
            test_id=row.test_id,
            code=test.code,
            title=pick(rules.title, locale),
            version=version.number,
            language=row.language,
            user_id=row.user_id,
            total=number(row.total),
            severity=scales[0].severity,
            scales=scales,
            breakdown=[
                AnswerScore(
                    question_id=question_id,
                    option_id=option_id,
                    score=None if score is None else number(score),
                )
                for question_id, option_id, score in row.answers
            ],
            complete=row.complete,
            prorated=row.prorated,
            flags=row.flags,
            created_at=row.created_at,
        )


def _name(code: str, names: dict[str, str]) -> Severity:
    return Severity(code=code, text=names[code])


class Contact(Payload):
    """Where to turn to at once."""

    name: str
    phone: str | None
    url: str | None


class Crisis(Payload):
    """What a person in need is shown. Without contacts the text names the emergency number."""

    title: str
    text: str
    contacts: list[Contact]


class Submitted(Result):
    """The result; with an answer somebody must look at also what helps at once."""

    crisis: Crisis | None


class ListResults(PageRequest, Period):
    test_id: Id | None = None


class ListPatientResults(ListResults):
    patient_id: Id


class GetResult(Payload):
    result_id: Id


class CompareResults(Payload):
    """Results of one person in one test."""

    result_ids: Annotated[list[Id], Bounds(min_length=2, max_length=20)]


class Step(Payload):
    """From one result to a later one. `difference` is the later total minus the earlier one."""

    from_id: Id
    to_id: Id
    difference: Number
    flags: list[str]


class Comparison(Payload):
    """The results, the oldest first; each step between neighbours; and from the first to the last.

    `flags` say what the steps mean: reliable or noticeable change, recovery, response, remission.
    """

    items: list[Result]
    steps: list[Step]
    whole: Step


class ExportFormat(StrEnum):
    FHIR = "fhir"
    CSV = "csv"
    JSON = "json"


class Export(ListResults):
    """Without a `patient_id` one's own."""

    format: Annotated[ExportFormat, Strict(False)]
    patient_id: Id | None = None


class Exported(Payload):
    """A file's name, type and text. `total` counts the whole list that this is a page of."""

    file_name: str
    file_type: str
    text: str
    total: int
    skip: int
    limit: int

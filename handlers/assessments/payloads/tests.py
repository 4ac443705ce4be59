"""What tests look like on the wire."""

from typing import Annotated, Any

from pydantic import Field as Bounds

from handlers.assessments.definition import (
    Definition,
    Licence,
    Panel,
    Rules,
    Wording,
    pick,
    pick_language,
)
from server.payload import Change, Id, PageRequest, Payload
from storage.assessments import Form, Item, TestStatus
from storage.assessments import Test as TestRow
from storage.assessments import TestVersion as VersionRow

Number = int | float
"""A score. Whole ones are integers."""


Version = Annotated[int, Bounds(ge=1, le=100_000, examples=[1])]


def number(value: float) -> Number:
    return int(value) if value == int(value) else value


def read_rules(version: VersionRow) -> Rules:
    return Rules.model_validate(version.rules, strict=False)


class AnswerOption(Payload):
    id: Id
    text: str
    score: Number | None
    loinc: str | None


class Question(Payload):
    id: Id
    code: str
    text: str
    scored: bool
    required: bool
    loinc: str | None
    options: list[AnswerOption]

    @classmethod
    def of(cls, item: Item, locale: str) -> "Question":
        row = item.question
        return cls(
            id=row.id,
            code=row.code,
            text=pick(row.texts, locale),
            scored=row.scored,
            required=row.required,
            loinc=row.loinc,
            options=[
                AnswerOption(
                    id=option.id,
                    text=pick(option.texts, locale),
                    score=None if option.score is None else number(option.score),
                    loinc=option.loinc,
                )
                for option in item.options
            ],
        )


class TestSummary(Payload):
    """A test in the list: without its questions. `language` is the one of its texts here."""

    __test__ = False  # pytest would collect it by its name

    id: Id
    code: str | None
    title: str
    version: int
    status: TestStatus
    author_id: Id | None
    language: str
    languages: list[str]
    licence: Licence | None

    @classmethod
    def of(cls, test: TestRow, version: VersionRow, locale: str) -> "TestSummary":
        return cls(**_summarise(test, version, read_rules(version), locale))


class Test(TestSummary):
    instructions: str | None
    wording: Wording | None
    loinc: Panel
    questions: list[Question]

    @classmethod
    def whole(cls, form: Form, locale: str) -> "Test":
        rules = read_rules(form.version)
        language = pick_language(rules.title, locale)
        return cls(
            **_summarise(form.test, form.version, rules, locale),
            instructions=pick(rules.instructions, locale) if rules.instructions else None,
            wording=rules.wordings.get(language),
            loinc=rules.loinc,
            questions=[Question.of(item, locale) for item in form.items],
        )


def _summarise(test: TestRow, version: VersionRow, rules: Rules, locale: str) -> dict[str, Any]:
    """A draft of what is published already is a draft all the same."""
    is_draft = version.published_at is None
    return {
        "id": test.id,
        "code": test.code,
        "title": pick(rules.title, locale),
        "version": version.number,
        "status": TestStatus.DRAFT if is_draft else TestStatus(test.status),
        "author_id": test.author_id,
        "language": pick_language(rules.title, locale),
        "languages": rules.languages,
        "licence": rules.licence,
    }


class ListTests(PageRequest):
    """`query` is searched in titles."""

    query: Annotated[str, Bounds(min_length=1, max_length=100, examples=["sleep"])] | None = None
    code: Annotated[str, Bounds(max_length=40, examples=["phq-9"])] | None = None


class GetTest(Payload):
    """Without a `version` the published one."""

    test_id: Id
    version: Version | None = None


class CreateTest(Change, Definition):
    pass


class UpdateTest(Change, Definition):
    test_id: Id


class ChangeTest(Change):
    test_id: Id


class TestGone(Payload):
    """The test's status now; null when nothing is left of it."""

    __test__ = False  # pytest would collect it by its name

    test_id: Id
    status: TestStatus | None

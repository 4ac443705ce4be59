"""What people answer, held against the questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handlers.assessments.payloads import Answer
from server.context import Context
from server.errors import Conflict, Field, Invalid, NotFound
from storage import assessments as tests
from storage.assessments import AnswerOption, Form, Item, Test, TestStatus, VersionStatus

OPEN_TO_ANSWERS = (VersionStatus.PUBLISHED, VersionStatus.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class Given:
    """A question and the option that was chosen; none where nothing or nothing else was said."""

    item: Item
    option: AnswerOption | None

    @property
    def score(self) -> float | None:
        return self.option.score if self.option else None


async def open_form(ctx: Context, test_id: int, answers: Sequence[Answer]) -> Form:
    """The version that is answered: the one whose questions these are, or the published one.

    Somebody may have begun before another version was published.

    Raises: NotFound; Conflict of a test that was retired.
    """
    test = await tests.get_test(ctx.db, test_id)
    if test is None or test.status == TestStatus.DRAFT:
        raise NotFound
    if test.status == TestStatus.RETIRED:
        raise Conflict
    return await _find_form(ctx, test, answers)


async def _find_form(ctx: Context, test: Test, answers: Sequence[Answer]) -> Form:
    version = None
    if answers:
        version = await tests.find_version_of_question(ctx.db, test.id, answers[0].question_id)
    if version is None or version.status not in OPEN_TO_ANSWERS:
        version = await tests.get_version(ctx.db, test.id, VersionStatus.PUBLISHED)
    return await tests.load_form(ctx.db, test, version)


def match(items: Sequence[Item], answers: Sequence[Answer]) -> list[Given]:
    """Every question with its answer, in order.

    Raises: Invalid for what is asked nowhere, or answered twice.
    """
    chosen = choose(items, answers)
    return [Given(item, chosen.get(item.question.id)) for item in items]


def choose(items: Sequence[Item], answers: Sequence[Answer]) -> Mapping[int, AnswerOption | None]:
    """The option chosen for each question that has an answer, by its id.

    Raises: Invalid for what is asked nowhere, or answered twice.
    """
    options = {item.question.id: {o.id: o for o in item.options} for item in items}
    chosen: dict[int, AnswerOption | None] = {}
    problems: list[Field] = []
    for number, answer in enumerate(answers):
        path = f"answers.{number}"
        if answer.question_id not in options:
            problems.append(_problem(f"{path}.question_id", "unknown_question"))
        elif answer.question_id in chosen:
            problems.append(_problem(f"{path}.question_id", "repeated"))
        elif answer.option_id is None:
            chosen[answer.question_id] = None
        elif (option := options[answer.question_id].get(answer.option_id)) is None:
            problems.append(_problem(f"{path}.option_id", "unknown_option"))
        else:
            chosen[answer.question_id] = option
    if problems:
        raise Invalid(fields=problems)
    return chosen


_MESSAGES = {
    "unknown_question": "This test has no such question",
    "unknown_option": "This question has no such answer",
    "repeated": "This question is answered twice",
}


def _problem(path: str, code: str) -> Field:
    return Field(path=path, code=code, message=_MESSAGES[code])

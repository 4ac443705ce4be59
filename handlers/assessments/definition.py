"""What a test is: its questions and the rules by which answers become a result.

The same shape in the files of the tests we ship, in the requests of psychologists who write their
own, and in the database (there without the questions, which have rows).
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Strict, WithJsonSchema
from pydantic import Field as Bounds

from server.errors import Field
from server.payload import Payload
from server.texts import DEFAULT_LOCALE

UNDETERMINED = "und"
"""BCP 47 for a language nobody named: what an author wrote without saying in which it is."""

MAX_QUESTIONS = 100
MAX_OPTIONS = 20


def _spread(value: object) -> object:
    return {UNDETERMINED: value} if isinstance(value, str) else value


_Language = Annotated[str, Bounds(pattern=r"^[a-z]{2,3}$")]
_Text = Annotated[str, Bounds(min_length=1, max_length=2000, pattern=r"\S")]

Words = Annotated[
    dict[_Language, _Text],
    Bounds(min_length=1, max_length=10),
    BeforeValidator(_spread),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 2000},
                {"type": "object", "additionalProperties": {"type": "string"}},
            ],
            "examples": ["How often were you bothered by this?"],
        }
    ),
]
"""A text, or the same text by language: `{"en": …, "ru": …}`."""

Score = Annotated[float, Bounds(ge=-1000, le=1000, allow_inf_nan=False)]
Code = Annotated[str, Bounds(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$", examples=["sleep_1"])]
Loinc = Annotated[str, Bounds(pattern=r"^[A-Z0-9]{1,9}-[0-9]$", examples=["44250-9"])]


class Option(Payload):
    """An answer; without a score it counts as missing: refused, don't know."""

    text: Words
    score: Score | None
    loinc: Loinc | None = None


class Question(Payload):
    """Something that is asked. What is not scored need not be answered."""

    text: Words
    options: Annotated[list[Option], Bounds(min_length=2, max_length=MAX_OPTIONS)]
    code: Code | None = None
    scored: bool = True
    required: bool | None = None
    loinc: Loinc | None = None


class Method(StrEnum):
    SUM = "sum"
    MEAN = "mean"
    FACTOR = "factor"
    """A sum times a factor."""


class Band(Payload):
    """What a score means from `least` up to the next band."""

    least: Score
    code: Code
    text: Words


class Scale(Payload):
    """A score over some questions; without `items`, over all that are scored."""

    code: Code = "total"
    method: Annotated[Method, Strict(False)] = Method.SUM
    factor: Score = 1
    items: Annotated[list[Code], Bounds(max_length=MAX_QUESTIONS)] = Bounds(default_factory=list)
    bands: Annotated[list[Band], Bounds(max_length=20)] = Bounds(default_factory=list)


class Missing(Payload):
    """How many answers a scale may lack; what there is then stands for the rest.

    `opt_in`: only where the settings say so.
    """

    max_missing: Annotated[int, Bounds(ge=0, le=MAX_QUESTIONS)] = 0
    opt_in: bool = False


class ChangeRule(Payload):
    """From which differences on two totals say that something has changed.

    `reliable`: points that chance does not explain; or `sd` and `reliability`, from which the
    reliable change index of Jacobson and Truax is made. `noticeable`: the smallest difference that
    matters (MCID). `caseness`: from this total on a person is a case; below, recovered.
    `response`: percent of the first total. `remission`: below this.
    """

    higher_is_worse: bool = True
    reliable: Score | None = None
    sd: Annotated[float, Bounds(gt=0, le=1000)] | None = None
    reliability: Annotated[float, Bounds(ge=0, lt=1)] | None = None
    noticeable: Score | None = None
    caseness: Score | None = None
    response: Annotated[float, Bounds(gt=0, le=100)] | None = None
    remission: Score | None = None


class SafetyItem(Payload):
    """A question whose answer somebody must look at, from this score on."""

    question: Code
    least: Score


class Syndrome(Payload):
    """A diagnostic algorithm: symptoms are counted, not summed.

    A question counts from `least` on, unless `exceptions` has another number for it. With a core
    symptom, `major` of them make the major syndrome and `other` of them the other one.
    """

    core: Annotated[list[Code], Bounds(min_length=1, max_length=MAX_QUESTIONS)]
    least: Score
    exceptions: Annotated[dict[Code, Score], Bounds(max_length=MAX_QUESTIONS)] = Bounds(
        default_factory=dict
    )
    major: Annotated[int, Bounds(ge=1, le=MAX_QUESTIONS)]
    other: Annotated[int, Bounds(ge=1, le=MAX_QUESTIONS)]


class Wording(Payload):
    """Which translation a language has, and where it comes from."""

    version: Annotated[str, Bounds(min_length=1, max_length=100)]
    provenance: Annotated[str, Bounds(min_length=1, max_length=1000)]


class LicenceKind(StrEnum):
    FREE = "free"
    ATTRIBUTION = "attribution"
    RESTRICTED = "restricted"
    """Whoever wants to use it needs the owner's permission."""


class Licence(Payload):
    kind: Annotated[LicenceKind, Strict(False)]
    notice: Annotated[str, Bounds(min_length=1, max_length=2000)]


class Panel(Payload):
    """LOINC's codes of the whole and of its total score."""

    panel: Loinc | None = None
    total: Loinc | None = None


class Rules(Payload):
    """All of a test but its questions. The first scale gives the total."""

    title: Words
    instructions: Words | None = None
    scales: Annotated[list[Scale], Bounds(max_length=10)] = Bounds(default_factory=list)
    missing: Missing = Missing()
    change: ChangeRule | None = None
    safety: Annotated[list[SafetyItem], Bounds(max_length=MAX_QUESTIONS)] = Bounds(
        default_factory=list
    )
    syndrome: Syndrome | None = None
    wordings: Annotated[dict[_Language, Wording], Bounds(max_length=10)] = Bounds(
        default_factory=dict
    )
    licence: Licence | None = None
    loinc: Panel = Panel()

    @property
    def languages(self) -> list[str]:
        return sorted(self.title)


class Definition(Rules):
    questions: Annotated[list[Question], Bounds(min_length=1, max_length=MAX_QUESTIONS)]


def code_of(question: Question, position: int) -> str:
    """The question's code; those without one are numbered."""
    return question.code or f"q{position + 1}"


def pick(words: Mapping[str, str], locale: str) -> str:
    """The text in the language somebody reads, else in the one that most people do."""
    return words.get(locale) or words.get(DEFAULT_LOCALE) or next(iter(words.values()))


def pick_language(languages: Mapping[str, object], locale: str) -> str:
    """Which language `pick` takes."""
    found = (language for language in (locale, DEFAULT_LOCALE) if language in languages)
    return next(found, next(iter(languages)))


def find_problems(definition: Definition) -> list[Field]:
    """What is wrong with a test, part by part, beyond the shapes of its parts."""
    return [*_check_questions(definition), *_check_languages(definition), *_check_rules(definition)]


def _check_questions(definition: Definition) -> Iterator[Field]:
    seen: set[str] = set()
    for number, question in enumerate(definition.questions):
        code = code_of(question, number)
        if code in seen:
            yield _problem(f"questions.{number}.code", "repeated", f"{code} is there twice")
        seen.add(code)
        scores = {option.score for option in question.options if option.score is not None}
        if question.scored and not scores:
            path = f"questions.{number}.options"
            yield _problem(path, "no_scores", "A scored question needs an answer with a score")
    if not any(question.scored for question in definition.questions):
        yield _problem("questions", "no_scores", "No question is scored")


def _check_languages(definition: Definition) -> Iterator[Field]:
    wanted = set(definition.title)
    for path, words in _list_words(definition):
        if missing := sorted(wanted - set(words)):
            text = f"There is no text in {', '.join(missing)}, in which the title is"
            yield _problem(path, "missing_language", text)


def _list_words(definition: Definition) -> Iterator[tuple[str, Mapping[str, str]]]:
    if definition.instructions:
        yield "instructions", definition.instructions
    for number, question in enumerate(definition.questions):
        yield f"questions.{number}.text", question.text
        for place, option in enumerate(question.options):
            yield f"questions.{number}.options.{place}.text", option.text
    for number, scale in enumerate(definition.scales):
        for place, band in enumerate(scale.bands):
            yield f"scales.{number}.bands.{place}.text", band.text


def _check_rules(definition: Definition) -> Iterator[Field]:
    scored = {
        code_of(question, number)
        for number, question in enumerate(definition.questions)
        if question.scored
    }
    for path, code in _list_named(definition):
        if code not in scored:
            yield _problem(path, "unknown_question", f"No scored question has the code {code}")
    codes = [scale.code for scale in definition.scales]
    for number, scale in enumerate(definition.scales):
        if scale.code in codes[:number]:
            yield _problem(f"scales.{number}.code", "repeated", f"{scale.code} is there twice")
        yield from _check_scale(f"scales.{number}", scale)
    fewest = min(len(scale.items or scored) for scale in definition.scales or [Scale()])
    if 0 < fewest <= definition.missing.max_missing:
        text = f"A scale has {fewest} questions: at least one of them is to be answered"
        yield _problem("missing.max_missing", "too_many", text)
    change = definition.change
    if change and (change.sd is None) != (change.reliability is None):
        yield _problem("change", "incomplete", "`sd` and `reliability` belong together")


def _check_scale(path: str, scale: Scale) -> Iterator[Field]:
    if len(set(scale.items)) < len(scale.items):
        yield _problem(f"{path}.items", "repeated", "A question is there twice")
    edges = [band.least for band in scale.bands]
    if edges != sorted(set(edges)):
        yield _problem(f"{path}.bands", "not_ascending", "Each band must begin above the last")
    codes = [band.code for band in scale.bands]
    for place, code in enumerate(codes):
        if code in codes[:place]:
            yield _problem(f"{path}.bands.{place}.code", "repeated", f"{code} is there twice")


def _list_named(definition: Definition) -> Iterator[tuple[str, Any]]:
    for number, scale in enumerate(definition.scales):
        for place, code in enumerate(scale.items):
            yield f"scales.{number}.items.{place}", code
    for number, item in enumerate(definition.safety):
        yield f"safety.{number}.question", item.question
    if definition.syndrome:
        for place, code in enumerate(definition.syndrome.core):
            yield f"syndrome.core.{place}", code
        for code in definition.syndrome.exceptions:
            yield f"syndrome.exceptions.{code}", code


def _problem(path: str, code: str, message: str) -> Field:
    return Field(path=path, code=code, message=message)

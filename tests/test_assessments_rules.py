"""Scores, bands, flags and changes: the published numbers, and all there can be."""

from collections.abc import Sequence
from itertools import product
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.assessments.changes import adjust, find_changes, reliable_change_index
from handlers.assessments.definition import (
    Band,
    Definition,
    Method,
    Missing,
    Scale,
    code_of,
    find_problems,
)
from handlers.assessments.scoring import find_flags, score_scale, score_scales
from handlers.assessments.shipped import list_shipped

pytestmark = pytest.mark.embedded

TESTS = {shipped.code: shipped.definition for shipped in list_shipped()}
READY = [shipped.code for shipped in list_shipped() if not shipped.is_skeleton]

PHQ9_BANDS = ("minimal", "mild", "moderate", "moderately_severe", "severe")
BANDS = {
    "phq-9": [(0, 4), (5, 9), (10, 14), (15, 19), (20, 27)],
    "gad-7": [(0, 4), (5, 9), (10, 14), (15, 21)],
}
GOLDEN: list[tuple[str, list[int], int, str]] = [
    ("phq-9", [0] * 9, 0, "minimal"),
    ("phq-9", [1] * 5 + [0] * 4, 5, "mild"),
    ("phq-9", [1, 2, 1, 2, 1, 2, 1, 2, 1], 13, "moderate"),
    ("phq-9", [3] * 5 + [0] * 4, 15, "moderately_severe"),
    ("phq-9", [3] * 7 + [0] * 2, 21, "severe"),
    ("phq-9", [3] * 9, 27, "severe"),
    ("gad-7", [2, 3, 2, 1, 2, 1, 2], 13, "moderate"),
    ("gad-7", [0] * 7, 0, "minimal"),
    ("gad-7", [3] * 7, 21, "severe"),
    ("phq-2", [1, 1], 2, "negative"),
    ("phq-2", [1, 2], 3, "positive"),
    ("gad-2", [2, 0], 2, "negative"),
    ("gad-2", [0, 3], 3, "positive"),
]


def name(code: str, scores: Sequence[float | None]) -> dict[str, float | None]:
    """The scores by question, of those that are scored."""
    definition = TESTS[code]
    codes = [code_of(q, n) for n, q in enumerate(definition.questions) if q.scored]
    return dict(zip(codes, scores, strict=True))


@pytest.mark.parametrize(("code", "scores", "total", "severity"), GOLDEN)
def test_golden_vectors(code: str, scores: list[int], total: int, severity: str) -> None:
    (scored,) = score_scales(TESTS[code], name(code, scores))
    assert (scored.total, scored.severity, scored.prorated) == (total, severity, False)


@pytest.mark.parametrize("code", ["phq-9", "gad-7"])
def test_every_edge_of_every_band(code: str) -> None:
    size = len(name(code, [0] * (9 if code == "phq-9" else 7)))
    names = dict(zip(BANDS[code], PHQ9_BANDS, strict=False))
    if code == "gad-7":
        names[15, 21] = "severe"
    for (first, last), expected in names.items():
        for total in (first, last):
            threes, rest = divmod(total, 3)
            scores = [3] * threes + [rest] + [0] * (size - threes - 1)
            (scored,) = score_scales(TESTS[code], name(code, scores[:size]))
            assert (scored.total, scored.severity) == (total, expected)


def test_all_answers_to_phq_9() -> None:
    """Each of the 4^9 against a reckoning of our own, which knows nothing of the test's rules."""
    rules, codes = TESTS["phq-9"], list(name("phq-9", [0] * 9))
    edges = [(20, "severe"), (15, "moderately_severe"), (10, "moderate"), (5, "mild")]
    severities = [next((s for least, s in edges if t >= least), "minimal") for t in range(28)]
    for answers in product(range(4), repeat=9):
        scores = dict(zip(codes, map(float, answers), strict=True))
        scored = score_scale(rules.scales[0], rules.missing, scores)
        total = 0
        for answer in answers:
            total += answer
        assert scored.total == total
        assert scored.severity == severities[total]
        symptoms = sum(answer >= 2 for answer in answers[:8]) + (answers[8] >= 1)
        core = answers[0] >= 2 or answers[1] >= 2
        expected = ["safety"] if answers[8] >= 1 else []
        if core and symptoms >= 2:
            expected.append("major_syndrome" if symptoms >= 5 else "other_syndrome")
        assert find_flags(rules, scores) == expected


@pytest.mark.parametrize("score", [1, 2, 3])
def test_the_ninth_answer_alarms_whatever_the_total(score: int) -> None:
    flags = find_flags(TESTS["phq-9"], name("phq-9", [0] * 8 + [score]))
    assert flags[0] == "safety"


def test_what_is_missing_is_not_made_up_for_unless_it_is_wanted() -> None:
    scores = name("phq-9", [2] * 8 + [None])
    (alone,) = score_scales(TESTS["phq-9"], scores, may_prorate=False)
    assert (alone.total, alone.severity, alone.answered) == (None, None, 8)
    (scored,) = score_scales(TESTS["phq-9"], scores)
    assert (scored.total, scored.prorated) == (18, True)
    assert find_flags(TESTS["phq-9"], scores) == ["safety_unanswered", "major_syndrome"]


@pytest.mark.parametrize(
    ("scores", "total"),
    [
        ([1] * 7 + [0, None], 8),  # 7.875
        ([1, 0, 0, 0, 0, 0, 0, None, None], 1),  # 1.29
        ([2, 1, 1, 1, 1, 1, 0, None, None], 9),
        ([3, 3, 3, 3, 3, 3, 3, None, None], 27),
        ([1, 1, 1, 1, 0, 0, 0, 0, None], 5),  # 4.5, up
        ([1] * 6 + [None] * 3, None),
    ],
)
def test_prorating_rounds_half_up_and_has_a_limit(
    scores: list[int | None], total: int | None
) -> None:
    assert score_scales(TESTS["phq-9"], name("phq-9", scores))[0].total == total


def test_means_and_factors() -> None:
    scores = {"a": 1.0, "b": 2.0, "c": 4.0, "d": None}
    mean = Scale(method=Method.MEAN, items=["a", "b", "c"])
    assert score_scale(mean, Missing(), scores).total == pytest.approx(7 / 3)
    factor = Scale(method=Method.FACTOR, factor=4, items=["a", "b"])
    assert score_scale(factor, Missing(), scores).total == 12
    lacking = Scale(method=Method.FACTOR, factor=2, items=["a", "b", "c", "d"])
    scored = score_scale(lacking, Missing(max_missing=1), scores)
    assert (scored.total, scored.prorated) == (19, True)  # 14 * 4 / 3 = 18.67
    nothing = score_scale(Scale(items=["d"]), Missing(max_missing=1), scores)
    assert nothing.total is None


@pytest.mark.parametrize(
    ("scale", "scores", "total"),
    [
        (Scale(), [0.7, 0.1], 0.8),
        (Scale(), [0.1, 0.2], 0.3),
        (Scale(method=Method.FACTOR, factor=0.1), [1.0, 2.0], 0.3),
        (Scale(method=Method.MEAN), [1.1, 2.2], 1.65),
    ],
)
def test_decimals_add_up_to_the_edge_of_a_band(
    scale: Scale, scores: list[float], total: float
) -> None:
    words = {"en": "X"}
    edges = [Band(least=0, code="low", text=words), Band(least=total, code="high", text=words)]
    scored = score_scale(
        scale.model_copy(update={"bands": edges}), Missing(), dict(zip("ab", scores, strict=True))
    )
    assert (scored.total, scored.severity) == (total, "high")


@given(st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=9, max_size=9))
def test_a_total_stays_in_its_bounds_and_grows_with_its_answers(
    scores: list[int | None],
) -> None:
    (scored,) = score_scales(TESTS["phq-9"], name("phq-9", scores))
    lacking = scores.count(None)
    assert (scored.total is None) == (lacking > 2)
    if scored.total is None:
        return
    given_ones = [score for score in scores if score is not None]
    assert 0 <= scored.total <= 27
    assert scored.total == floor(sum(given_ones) * 9 / len(given_ones) + 0.5)
    for place, score in enumerate(scores):
        if score is not None and score < 3:
            higher: list[Any] = [*scores]
            higher[place] = score + 1
            (more,) = score_scales(TESTS["phq-9"], name("phq-9", higher))
            assert more.total is not None
            assert more.total >= scored.total + 1


def changes(code: str, first: float, last: float) -> list[str]:
    definition = TESTS[code]
    assert definition.change is not None
    return find_changes(definition.change, definition.scales[0].bands, first, last)


@pytest.mark.parametrize(
    ("code", "first", "last", "flags"),
    [
        ("phq-9", 14, 13, set()),
        ("phq-9", 14, 10, set()),
        ("phq-9", 14, 9, {"noticeable_improvement", "recovery", "lighter_band"}),
        (
            *("phq-9", 15, 9),
            {
                *("reliable_improvement", "noticeable_improvement"),
                *("recovery", "reliable_recovery", "lighter_band"),
            },
        ),
        (
            *("phq-9", 16, 4),
            {
                *("reliable_improvement", "noticeable_improvement", "recovery"),
                *("reliable_recovery", "response", "remission", "lighter_band"),
            },
        ),
        ("phq-9", 4, 2, {"response"}),
        ("phq-9", 5, 10, {"noticeable_deterioration", "heavier_band"}),
        (
            *("phq-9", 5, 11),
            {"reliable_deterioration", "noticeable_deterioration", "heavier_band"},
        ),
        ("phq-9", 0, 0, set()),
        ("gad-7", 8, 7, {"recovery"}),
        (
            *("gad-7", 11, 7),
            {
                *("reliable_improvement", "noticeable_improvement"),
                *("recovery", "reliable_recovery", "lighter_band"),
            },
        ),
    ],
)
def test_what_a_change_means(code: str, first: int, last: int, flags: set[str]) -> None:
    assert set(changes(code, first, last)) == flags


def test_people_on_a_waiting_list() -> None:
    """Means at weeks 0, 4, 8, 12 and 16, as published."""
    depression, anxiety = [13.6, 11.9, 11.4, 8.0, 7.0], [11.2, 10.7, 9.8, 7.0, 6.0]
    assert [set(changes("phq-9", 13.6, total)) & {"reliable_improvement"} for total in depression]
    found = [changes("phq-9", depression[0], total) for total in depression]
    assert ["reliable_improvement" in flags for flags in found] == [False] * 4 + [True]
    assert ["recovery" in flags for flags in found] == [False] * 3 + [True] * 2
    found = [changes("gad-7", anxiety[0], total) for total in anxiety]
    assert ["reliable_improvement" in flags for flags in found] == [False] * 3 + [True] * 2
    assert ["response" in flags for flags in found] == [False] * 5


def test_the_reliable_change_index_of_gad_7() -> None:
    """Bischoff 2020: 5.59 with r = .87; the standard deviation that belongs to it is 5.593."""
    assert reliable_change_index(5.593, 0.87) == pytest.approx(5.59, abs=0.005)
    definition = TESTS["gad-7"]
    change = adjust(definition.change, "gad-7", {"gad-7": {"sd": 5.593, "reliability": 0.87}})
    assert change is not None
    alone = change.model_copy(update={"reliable": None})
    assert "reliable_improvement" not in find_changes(alone, [], 11, 6)
    assert "reliable_improvement" in find_changes(alone, [], 11, 5)


def test_settings_change_thresholds() -> None:
    change = adjust(TESTS["phq-9"].change, "phq-9", {"phq-9": {"reliable": 3, "caseness": 12}})
    assert change is not None
    flags = find_changes(change, [], 13, 10)
    assert set(flags) == {"reliable_improvement", "recovery", "reliable_recovery"}
    assert adjust(TESTS["phq-9"].change, None, {}) == TESTS["phq-9"].change


def test_less_is_worse_on_some_scales() -> None:
    definition = TESTS["who-5"]
    assert definition.change is not None
    flags = find_changes(definition.change, definition.scales[0].bands, 48, 52)
    assert set(flags) == {"recovery", "lighter_band"}
    (scored,) = score_scales(definition, name("who-5", [5, 5, 5, 5, 5]))
    assert (scored.total, scored.severity) == (100, "adequate")
    for total, severity in ((28, "very_low"), (32, "low"), (48, "low"), (52, "adequate")):
        raw = total // 4
        scores = [min(5, max(0, raw - 5 * n)) for n in range(5)]
        (scored,) = score_scales(definition, name("who-5", scores))
        assert (scored.total, scored.severity) == (total, severity)


@pytest.mark.parametrize(
    ("total", "severity"),
    [
        *((10, "low"), (15, "low"), (16, "moderate"), (21, "moderate"), (22, "high")),
        *((29, "high"), (30, "very_high"), (50, "very_high")),
    ],
)
def test_bands_of_k10(total: int, severity: str) -> None:
    scores = [1 + min(4, max(0, total - 10 - 4 * n)) for n in range(10)]
    (scored,) = score_scales(TESTS["k10"], name("k10", scores))
    assert (scored.total, scored.severity) == (total, severity)


@pytest.mark.parametrize("code", sorted(TESTS))
def test_what_is_shipped_is_right(code: str) -> None:
    definition = TESTS[code]
    assert find_problems(definition) == []
    assert definition.licence is not None
    assert (set(definition.wordings) == {"en", "ru"}) == (code in READY)


def test_codes_of_answers_are_in_no_order() -> None:
    """The last two of question ten are often swapped."""
    *_, last = TESTS["phq-9"].questions
    assert not last.scored
    assert [option.loinc for option in last.options] == [
        *("LA6572-7", "LA6573-5", "LA6575-0", "LA6574-3")
    ]
    assert TESTS["gad-7"].questions[0].options[0].text["en"] == "Not at all"


def test_reversed_questions() -> None:
    definition = TESTS["pss-10"]
    assert [q.options[0].score for q in definition.questions] == [0, 0, 0, 4, 4, 0, 4, 4, 0, 0]


def define(**changes: Any) -> Definition:
    options = [{"text": {"en": "No"}, "score": 0}, {"text": {"en": "Yes"}, "score": 1}]
    values: dict[str, Any] = {
        "title": {"en": "Sleep"},
        "questions": [
            {"code": "a", "text": {"en": "?"}, "options": options},
            {"code": "b", "text": {"en": "?"}, "options": options},
        ],
        **changes,
    }
    return Definition.model_validate(values, strict=False)


BAND = {"code": "x", "text": {"en": "X"}}


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"title": {"en": "S", "ru": "Сон"}}, "questions.0.text", "missing_language"),
        ({"instructions": {"ru": "Сон"}}, "instructions", "missing_language"),
        ({"scales": [{"items": ["a", "z"]}]}, "scales.0.items.1", "unknown_question"),
        ({"scales": [{"items": ["a", "a"]}]}, "scales.0.items", "repeated"),
        ({"scales": [{}, {}]}, "scales.1.code", "repeated"),
        (
            {"scales": [{"bands": [{"least": 2, **BAND}, {"least": 2, **BAND}]}]},
            *("scales.0.bands", "not_ascending"),
        ),
        (
            {"scales": [{"bands": [{"least": 2, **BAND}, {"least": 3, **BAND}]}]},
            *("scales.0.bands.1.code", "repeated"),
        ),
        ({"missing": {"max_missing": 2}, "scales": [{}]}, "missing.max_missing", "too_many"),
        ({"missing": {"max_missing": 2}}, "missing.max_missing", "too_many"),
        ({"safety": [{"question": "c", "least": 1}]}, "safety.0.question", "unknown_question"),
        ({"change": {"sd": 1}}, "change", "incomplete"),
        (
            {"syndrome": {"core": ["q"], "least": 1, "major": 1, "other": 1}},
            *("syndrome.core.0", "unknown_question"),
        ),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], path: str, code: str) -> None:
    problems = find_problems(define(**changes))
    assert (path, code) in [(problem.path, problem.code) for problem in problems]


def test_questions_need_scores_and_codes_of_their_own() -> None:
    options = [{"text": {"en": "No"}, "score": None}, {"text": {"en": "Yes"}, "score": None}]
    question = {"code": "a", "text": {"en": "?"}, "options": options}
    problems = find_problems(define(questions=[question, question]))
    found = [(problem.path, problem.code) for problem in problems]
    assert ("questions.1.code", "repeated") in found
    assert ("questions.0.options", "no_scores") in found
    unscored = [{**question, "scored": False}]
    assert [p.path for p in find_problems(define(questions=unscored))] == ["questions"]

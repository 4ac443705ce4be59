"""Whether one text of a test is scored as another: pure functions."""

from collections.abc import Sequence
from typing import Any

from handlers.assessments.definition import Definition, Rules, Scale, code_of
from storage.assessments import Item

RULES = ("missing", "change", "safety", "syndrome", "loinc")


def find_difference(rules: Rules, items: Sequence[Item], other: Definition) -> str | None:
    """Where a definition has another structure than a test that is there; texts may differ."""
    was, asked = _describe_items(items), _describe_questions(other)
    for number, (old, new) in enumerate(zip(was, asked, strict=False)):
        if old != new:
            return f"questions.{number}"
    if len(was) != len(asked):
        return "questions"
    for name in RULES:
        if getattr(rules, name) != getattr(other, name):
            return name
    return None if _describe_scales(rules.scales) == _describe_scales(other.scales) else "scales"


def is_scored_alike(
    rules: Rules, items: Sequence[Item], other: Rules, others: Sequence[Item]
) -> bool:
    """Whether totals of two versions mean the same: what is asked, and how it is added up."""
    return _describe_items(items) == _describe_items(others) and _describe_total(
        rules
    ) == _describe_total(other)


def _describe_total(rules: Rules) -> Any:
    scale = rules.scales[0] if rules.scales else Scale()
    return scale.method, scale.factor, scale.items


def _describe_items(items: Sequence[Item]) -> list[Any]:
    return [
        (item.question.code, item.question.scored, [option.score for option in item.options])
        for item in items
    ]


def _describe_questions(definition: Definition) -> list[Any]:
    return [
        (code_of(question, number), question.scored, [option.score for option in question.options])
        for number, question in enumerate(definition.questions)
    ]


def _describe_scales(scales: Sequence[Scale]) -> list[Any]:
    return [
        (
            scale.code,
            scale.method,
            scale.factor,
            scale.items,
            [(band.least, band.code) for band in scale.bands],
        )
        for scale in scales
    ]

"""From answers to scores: pure functions over a test's rules.

Sources: Kroenke, Spitzer, Williams 2001 (PHQ-9: sum, bands, diagnostic algorithm); Spitzer et al.
2006 (GAD-7). A missing answer is never zero: a scale that lacks some is not scored, or, where the
test says so, the answers there are stand for the rest (sum * items / answered, rounded half up).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, fsum

from handlers.assessments.definition import Band, Method, Missing, Rules, Scale, Syndrome

SAFETY, SAFETY_UNANSWERED = "safety", "safety_unanswered"
MAJOR, OTHER = "major_syndrome", "other_syndrome"

DECIMALS = 9
"""Of a score. What authors write has fewer, and what comes after is the machine's own."""

Scores = Mapping[str, float | None]
"""Of every scored question, by its code; None where the answer is missing."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One scale's score; none where too many answers are missing."""

    code: str
    total: float | None
    severity: str | None
    answered: int
    prorated: bool


def score_scales(rules: Rules, scores: Scores, *, may_prorate: bool = True) -> list[Scored]:
    """The score of each scale; a test without any has the sum of all its questions."""
    may_prorate = may_prorate or not rules.missing.opt_in
    missing = rules.missing if may_prorate else Missing()
    return [score_scale(scale, missing, scores) for scale in rules.scales or [Scale()]]


def score_scale(scale: Scale, missing: Missing, scores: Scores) -> Scored:
    items = scale.items or list(scores)
    given = [score for code in items if (score := scores[code]) is not None]
    lacking = len(items) - len(given)
    if not given or lacking > missing.max_missing:
        return Scored(scale.code, None, None, len(given), prorated=False)
    total = _combine(scale, given, len(items))
    band = find_band(scale.bands, total)
    severity = band.code if band else None
    return Scored(scale.code, total, severity, len(given), prorated=lacking > 0)


def _combine(scale: Scale, given: Sequence[float], items: int) -> float:
    total = fsum(given)
    if scale.method == Method.MEAN:
        return round(total / len(given), DECIMALS)
    if scale.method == Method.FACTOR:
        total *= scale.factor
    # 0.7 and 0.1 are the 0.8 at which a band begins.
    total = round(total, DECIMALS)
    if len(given) < items:
        # As a fraction: 4.5 is to be rounded up wherever it comes from.
        return float(floor(Fraction(total) * items / len(given) + Fraction(1, 2)))
    return total


def find_band(bands: Sequence[Band], total: float) -> Band | None:
    """The last band that begins at or below this total."""
    return next((band for band in reversed(bands) if band.least <= total), None)


def find_flags(rules: Rules, scores: Scores) -> list[str]:
    """What the answers say besides the score."""
    flags = []
    if list_alarming(rules, scores):
        flags.append(SAFETY)
    if any(scores[item.question] is None for item in rules.safety):
        flags.append(SAFETY_UNANSWERED)
    if rules.syndrome and (syndrome := find_syndrome(rules.syndrome, scores)):
        flags.append(syndrome)
    return flags


def list_alarming(rules: Rules, scores: Scores) -> list[tuple[str, float]]:
    """The safety questions that were answered so that somebody must look, with their scores."""
    return [
        (item.question, score)
        for item in rules.safety
        if (score := scores[item.question]) is not None and score >= item.least
    ]


def find_syndrome(syndrome: Syndrome, scores: Scores) -> str | None:
    """Major or other depressive syndrome by PHQ-9's algorithm (CamCOPS, phq9.py)."""
    counted = {
        code
        for code, score in scores.items()
        if score is not None and score >= syndrome.exceptions.get(code, syndrome.least)
    }
    if not counted & set(syndrome.core):
        return None
    if len(counted) >= syndrome.major:
        return MAJOR
    return OTHER if len(counted) >= syndrome.other else None

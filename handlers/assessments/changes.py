"""What the difference between two totals of a test says: pure functions.

Sources: reliable change and recovery, NHS Talking Therapies manual (PHQ-9 >= 6 and < 10, GAD-7 >= 4
and < 8); smallest noticeable difference, PHQ-9 5 and GAD-7 4; response, a fall by half; remission,
below 5 (NCQA); reliable change index, Jacobson and Truax 1991. They differ on purpose, so all are
told, and a change of band is a fact of its own.
"""

from collections.abc import Mapping, Sequence
from math import sqrt

from handlers.assessments.definition import Band, ChangeRule
from handlers.assessments.scoring import find_band

IMPROVED, DETERIORATED = "reliable_improvement", "reliable_deterioration"
BETTER, WORSE = "noticeable_improvement", "noticeable_deterioration"
RECOVERY, RELIABLE_RECOVERY = "recovery", "reliable_recovery"
RESPONSE, REMISSION = "response", "remission"
LIGHTER_BAND, HEAVIER_BAND = "lighter_band", "heavier_band"


def reliable_change_index(sd: float, reliability: float) -> float:
    """Points that a change must have to be no chance at 95 %: 1.96·√2·SD·√(1 - r)."""
    return 1.96 * sqrt(2) * sd * sqrt(1 - reliability)


def adjust(
    rules: ChangeRule | None, code: str | None, settings: Mapping[str, Mapping[str, float]]
) -> ChangeRule | None:
    """The rules of a test with the thresholds that the settings have instead, by its code."""
    others = settings.get(code or "")
    if not others:
        return rules
    before = (rules or ChangeRule()).model_dump()
    return ChangeRule.model_validate({**before, **others})


def find_changes(rules: ChangeRule, bands: Sequence[Band], first: float, last: float) -> list[str]:
    """What has become of a person between two totals, the earlier one first."""
    fall = first - last if rules.higher_is_worse else last - first
    flags = [
        *_find_steps(fall, _reliable(rules), IMPROVED, DETERIORATED),
        *_find_steps(fall, rules.noticeable, BETTER, WORSE),
    ]
    if rules.caseness is not None:
        was, still = (_is_case(rules, rules.caseness, total) for total in (first, last))
        recovered = was and not still
        flags += [RECOVERY] * recovered
        flags += [RELIABLE_RECOVERY] * (recovered and IMPROVED in flags)
    if rules.response is not None and first > 0 and fall * 100 >= rules.response * first:
        flags.append(RESPONSE)
    if rules.remission is not None and last < rules.remission <= first:
        flags.append(REMISSION)
    return [*flags, *_compare_bands(rules, bands, first, last)]


def _reliable(rules: ChangeRule) -> float | None:
    if rules.reliable is None and rules.sd is not None and rules.reliability is not None:
        return reliable_change_index(rules.sd, rules.reliability)
    return rules.reliable


def _find_steps(fall: float, least: float | None, better: str, worse: str) -> list[str]:
    if least is None or abs(fall) < least or not fall:
        return []
    return [better if fall > 0 else worse]


def _is_case(rules: ChangeRule, caseness: float, total: float) -> bool:
    return total >= caseness if rules.higher_is_worse else total <= caseness


def _compare_bands(
    rules: ChangeRule, bands: Sequence[Band], first: float, last: float
) -> list[str]:
    was, now = find_band(bands, first), find_band(bands, last)
    if was is None or now is None or was.code == now.code:
        return []
    lighter = (now.least < was.least) == rules.higher_is_worse
    return [LIGHTER_BAND if lighter else HEAVIER_BAND]

"""Answering a test: scored, kept, told, and looked at where it must be."""

from collections.abc import Sequence
from dataclasses import dataclass

from handlers.assessments.alerts import NOBODY, find_guardians, raise_alerts
from handlers.assessments.answers import Given, match, open_form
from handlers.assessments.changes import adjust, find_changes
from handlers.assessments.comparing import find_alike
from handlers.assessments.crisis import write_crisis
from handlers.assessments.declared import (
    PATIENT,
    SUBMIT_RATE,
    assessments,
    draft_saved,
    result_created,
)
from handlers.assessments.definition import ChangeRule, Rules, pick_language
from handlers.assessments.payloads import Draft, Result, Submit, Submitted, read_rules
from handlers.assessments.scoring import (
    SAFETY,
    Scored,
    Scores,
    find_flags,
    list_alarming,
    score_scales,
)
from handlers.care import tell_condition
from server.context import Context
from server.errors import Conflict, Field, Invalid
from storage import accounts, notifications
from storage import assessments as tests
from storage import care as relations
from storage.assessments import Form, Found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the answers come to, before it is known what came before them."""

    form: Form
    rules: Rules
    given: Sequence[Given]
    scores: Scores
    scales: Sequence[Scored]
    total: float


@assessments.route("POST", r"/tests/{id:\d+}/submit", roles=PATIENT, rate=SUBMIT_RATE, status=201)
async def submit(ctx: Context, request: Submit) -> Submitted:
    """Answer a test: total, severity, and what each answer counted.

    What is left out, or has no option, is missing, never zero. A test is scored when every scored
    question is answered, or as many as its own rule asks for. With an answer that somebody must
    look at comes what helps at once. Repeated with its `client_ref` it is one result.

    Raises: invalid, not_found, conflict.
    """
    before = await _find_before(ctx, request)
    if before is not None:
        return _answer(ctx, before)
    # First, as everywhere: no relation begins or ends while somebody is told.
    psychologists = await relations.list_psychologists(ctx.db, ctx.user.id)
    outcome = await _score(ctx, request)
    alarming = list_alarming(outcome.rules, outcome.scores)
    guardians = await find_guardians(ctx, psychologists) if alarming else NOBODY
    await notifications.lock_feeds(ctx.db, {ctx.user.id, *psychologists, *guardians.ids})
    found = await _keep(ctx, request, outcome)
    if found is None:
        # A twin of this request has just been committed.
        return await submit(ctx, request)
    if alarming:
        await raise_alerts(ctx, found.result, outcome.form, alarming, guardians)
    await tell_condition(ctx, ctx.user.id, psychologists)
    await _tell(ctx, found, psychologists)
    return _answer(ctx, found)


async def _find_before(ctx: Context, request: Submit) -> Found | None:
    """The result this request had before.

    Raises: Conflict, where its ref was used for something else.
    """
    if request.client_ref is None:
        return None
    found = await tests.find_by_ref(ctx.db, ctx.user.id, request.client_ref)
    if found is not None and found.result.request_hash != request.digest():
        raise Conflict
    return found


async def _score(ctx: Context, request: Submit) -> Outcome:
    """Raises: NotFound, Conflict; Invalid where too much is missing."""
    form = await open_form(ctx, request.id, request.answers)
    rules, given = read_rules(form.version), match(form.items, request.answers)
    scores = {one.item.question.code: one.score for one in given if one.item.question.scored}
    may_prorate = form.test.code in ctx.runtime.settings.prorated_tests
    scales = score_scales(rules, scores, may_prorate=may_prorate)
    unanswered = [
        Field(
            path="answers",
            code="unanswered",
            message=f"Question {one.item.question.code} has no answer",
        )
        for one in given
        if one.item.question.required and _is_open(one) and _is_needed(one, scales[0])
    ]
    total = scales[0].total
    if unanswered or total is None:
        raise Invalid(fields=unanswered or [_too_little()])
    return Outcome(form, rules, given, scores, scales, total)


def _is_open(one: Given) -> bool:
    return one.score is None if one.item.question.scored else one.option is None


def _is_needed(one: Given, total: Scored) -> bool:
    """A scored question may be left open where the total can be made up for it."""
    return total.total is None or not one.item.question.scored


def _too_little() -> Field:
    return Field(path="answers", code="unanswered", message="Too few questions are answered")


async def _keep(ctx: Context, request: Submit, outcome: Outcome) -> Found | None:
    form, rules = outcome.form, outcome.rules
    row = await tests.add_result(
        ctx.db,
        user_id=ctx.user.id,
        test_id=form.test.id,
        version_id=form.version.id,
        language=pick_language(rules.title, ctx.locale),
        total=outcome.total,
        severity=outcome.scales[0].severity,
        scales=[[scale.code, scale.total, scale.severity] for scale in outcome.scales],
        answers=[
            [one.item.question.id, one.option.id if one.option else None, one.score]
            for one in outcome.given
        ],
        complete=all(score is not None for score in outcome.scores.values()),
        prorated=outcome.scales[0].prorated,
        flags=[*find_flags(rules, outcome.scores), *await _find_changes(ctx, outcome)],
        client_ref=request.client_ref,
        request_hash=request.digest() if request.client_ref else None,
        created_at=ctx.now,
    )
    if row is None:
        return None
    if await tests.delete_draft(ctx.db, ctx.user.id, form.test.id):
        ctx.push(draft_saved, Draft.of(form.test.id, None), to=[ctx.user.id])
    return Found(row, form.test, form.version)


async def _find_changes(ctx: Context, outcome: Outcome) -> list[str]:
    """What has become of the person since their first result of this test."""
    test, version = outcome.form.test, outcome.form.version
    alike = await find_alike(ctx, test, version)
    first = await tests.find_first_total(ctx.db, ctx.user.id, test.id, version_ids=alike)
    if first is None:
        return []
    rules = outcome.rules
    change = adjust(rules.change, test.code, ctx.runtime.settings.change_rules)
    bands = rules.scales[0].bands if rules.scales else []
    return find_changes(change or ChangeRule(), bands, first, outcome.total)


async def _tell(ctx: Context, found: Found, psychologists: Sequence[int]) -> None:
    """Tell everybody concerned in their own language; who was told is on record."""
    for one in psychologists:
        ctx.audit("result.told", subject_id=ctx.user.id, psychologist_id=one)
    people = await accounts.find_named(ctx.db, [ctx.user.id, *psychologists])
    for locale in sorted({person.locale for person in people.values()}):
        to = sorted(user_id for user_id, person in people.items() if person.locale == locale)
        ctx.push(result_created, Result.of(found, locale), to=to)


def _answer(ctx: Context, found: Found) -> Submitted:
    result = Result.of(found, ctx.locale)
    crisis = write_crisis(ctx) if SAFETY in result.flags else None
    return Submitted(**{name: getattr(result, name) for name in Result.model_fields}, crisis=crisis)

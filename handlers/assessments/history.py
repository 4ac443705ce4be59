"""Results: one's own, and those of one's patients."""

from collections.abc import Sequence
from itertools import pairwise

from handlers.accounts.profile import access_user
from handlers.assessments.changes import adjust, find_changes
from handlers.assessments.comparing import find_alike
from handlers.assessments.declared import CARE, PSYCHOLOGIST, READ_RATE, assessments
from handlers.assessments.definition import ChangeRule, Rules
from handlers.assessments.payloads import (
    CompareResults,
    Comparison,
    GetResult,
    ListPatientResults,
    ListResults,
    Result,
    Step,
    number,
    read_rules,
)
from handlers.care import access_patient
from server.context import Context
from server.errors import Invalid, NotFound
from server.payload import Page
from storage import assessments as tests
from storage.assessments import Found

READ = "result.read"


@assessments.on("result:list", roles=CARE, rate=READ_RATE, reads=True)
async def list_results(ctx: Context, request: ListResults) -> Page[Result]:
    """One's own results, the latest first.

    `from` and `to` are days, both included, or points in time, the last one excluded.

    Raises: invalid.
    """
    rows, total = await find_page(ctx, request, ctx.user.id)
    return Page[Result].of(request, [Result.of(row, ctx.locale) for row in rows], total)


@assessments.on("result:patient", roles=PSYCHOLOGIST, rate=READ_RATE, reads=True)
async def list_patient_results(ctx: Context, request: ListPatientResults) -> Page[Result]:
    """A patient's results, as `result:list`; days are the patient's own.

    Raises: invalid, not_found.
    """
    patient_id = await access_patient(ctx, request.patient_id, READ, "result:patient")
    rows, total = await find_page(ctx, request, patient_id)
    return Page[Result].of(request, [Result.of(row, ctx.locale) for row in rows], total)


@assessments.on("result:get", roles=CARE, rate=READ_RATE, reads=True)
async def get_result(ctx: Context, request: GetResult) -> Result:
    """A result of one's own or of a patient's.

    Raises: not_found.
    """
    async with ctx.work() as work:
        found = await tests.find_result(work.db, request.result_id)
    if found is None:
        raise NotFound
    await access_patient(ctx, found.result.user_id, READ, "result:get")
    return Result.of(found, ctx.locale)


@assessments.on("result:compare", roles=CARE, rate=READ_RATE, reads=True)
async def compare_results(ctx: Context, request: CompareResults) -> Comparison:
    """What became of a person between results of one test: step by step, and over all.

    Raises: invalid, not_found.
    """
    ids = set(request.result_ids)
    async with ctx.work() as work:
        found = await tests.find_results(work.db, ids)
    people = {one.result.user_id for one in found}
    if len(found) < len(ids):
        raise NotFound
    for user_id in sorted(people):
        await access_patient(ctx, user_id, READ, "result:compare")
    if len(ids) < 2 or len(people) > 1 or len({one.test.id for one in found}) > 1:
        text = "At least two results of one person in one test"
        raise Invalid.of("result_ids", "not_comparable", text)
    await _check_versions(ctx, found)
    rules = _read_rules(ctx, found[-1])
    return Comparison(
        items=[Result.of(one, ctx.locale) for one in found],
        steps=[_step(rules, one, next_one) for one, next_one in pairwise(found)],
        whole=_step(rules, found[0], found[-1]),
    )


async def _check_versions(ctx: Context, found: Sequence[Found]) -> None:
    """Raises: Invalid where some were scored in another way."""
    versions = {one.version.id for one in found}
    if len(versions) > 1:
        alike = await find_alike(ctx, found[-1].test, found[-1].version)
        if alike is not None and not versions <= set(alike):
            text = "These versions of the test are not scored alike"
            raise Invalid.of("result_ids", "not_comparable", text)


async def find_page(ctx: Context, request: ListResults, user_id: int) -> tuple[list[Found], int]:
    """Raises: Invalid."""
    user = await access_user(ctx, user_id)
    after, before = request.bounds(user.time_zone)
    return await tests.list_results(
        ctx.db,
        user_id,
        test_id=request.test_id,
        after=after,
        before=before,
        skip=request.skip,
        limit=request.limit,
    )


def _read_rules(ctx: Context, found: Found) -> Rules:
    """The rules of a version, with the thresholds that the settings have."""
    rules = read_rules(found.version)
    change = adjust(rules.change, found.test.code, ctx.runtime.settings.change_rules)
    return rules.model_copy(update={"change": change})


def _step(rules: Rules, first: Found, last: Found) -> Step:
    bands = rules.scales[0].bands if rules.scales else []
    totals = first.result.total, last.result.total
    return Step(
        from_id=first.result.id,
        to_id=last.result.id,
        difference=number(totals[1] - totals[0]),
        flags=find_changes(rules.change or ChangeRule(), bands, *totals),
    )

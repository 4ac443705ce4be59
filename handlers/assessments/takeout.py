"""What people take along of assessments: their results and drafts, and tests of their own."""

from datetime import datetime
from typing import Any

from handlers.assessments.declared import assessments
from handlers.assessments.definition import Definition, Option, Question
from handlers.assessments.export import load_forms
from handlers.assessments.fhir import write_bundle
from handlers.assessments.payloads import Draft, Result
from server.context import Context
from server.payload import Id, Instant, Payload
from server.portions import PORTION, Portion
from storage import assessments as tests
from storage.assessments import Form, TestStatus, VersionStatus

Place = tuple[datetime, int]


class FhirBundle(Payload):
    """A FHIR R4 Bundle; what its entries are like is FHIR's."""

    resourceType: str  # noqa: N815 - FHIR's own name
    type: str
    entry: list[dict[str, Any]]


class OwnTest(Payload):
    """One version of a test, as its author wrote it: what `test:create` takes."""

    test_id: Id
    test_status: TestStatus
    version: int
    version_status: VersionStatus
    published_at: Instant | None
    definition: Definition

    @classmethod
    def of(cls, form: Form) -> "OwnTest":
        test, version = form.test, form.version
        questions = [
            Question(
                text=item.question.texts,
                options=[
                    Option(text=option.texts, score=option.score, loinc=option.loinc)
                    for option in item.options
                ],
                code=item.question.code,
                scored=item.question.scored,
                required=item.question.required,
                loinc=item.question.loinc,
            )
            for item in form.items
        ]
        return cls(
            test_id=test.id,
            test_status=TestStatus(test.status),
            version=version.number,
            version_status=VersionStatus(version.status),
            published_at=version.published_at,
            definition=Definition.model_validate(
                {**version.rules, "questions": questions}, strict=False
            ),
        )


@assessments.exported("results")
async def take_results(ctx: Context, after: Place | None) -> Portion:
    found = await tests.list_results_after(ctx.db, ctx.user.id, after=after, limit=PORTION)
    items = [Result.of(one, ctx.locale) for one in found]
    return Portion.of(items, found, _place)


@assessments.exported("results.fhir", together=False)
async def take_bundles(ctx: Context, after: Place | None) -> Portion:
    """A bundle for so many results at a time, each with the questionnaires it needs."""
    found = await tests.list_results_after(ctx.db, ctx.user.id, after=after, limit=PORTION)
    if not found:
        return Portion([])
    rows, url = [one.result for one in found], ctx.runtime.settings.public_url
    bundle = write_bundle(await load_forms(ctx, found), rows, url)
    return Portion.of([FhirBundle(**bundle)], found, _place)


@assessments.exported("drafts")
async def take_drafts(ctx: Context, after: int | None) -> Portion:
    found = await tests.list_drafts_after(ctx.db, ctx.user.id, after=after or 0, limit=PORTION)
    items = [Draft.of(draft.test_id, (draft, version)) for draft, version in found]
    return Portion.of(items, found, lambda one: one[0].test_id)


@assessments.exported("tests")
async def take_tests(ctx: Context, after: tuple[int, int] | None) -> Portion:
    forms = await tests.list_own_forms_after(
        ctx.db, ctx.user.id, after=after or (0, 0), limit=PORTION
    )
    items = [OwnTest.of(form) for form in forms]
    return Portion.of(items, forms, lambda form: (form.test.id, form.version.number))


def _place(found: tests.Found) -> Place:
    return found.result.created_at, found.result.id

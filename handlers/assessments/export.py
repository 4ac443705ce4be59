"""Results to take along: FHIR for other systems, CSV for tables, JSON as they are."""

import csv
import json
from collections.abc import Sequence
from io import StringIO

from handlers.assessments.declared import CARE, READ_RATE, assessments
from handlers.assessments.fhir import write_bundle
from handlers.assessments.history import READ, find_page
from handlers.assessments.payloads import Export, Exported, ExportFormat, Result, number
from handlers.care import access_patient
from server.context import Context
from server.payload import Page, iso
from storage import assessments as tests
from storage.assessments import Form, Found

TYPES = {
    ExportFormat.FHIR: "application/fhir+json",
    ExportFormat.CSV: "text/csv",
    ExportFormat.JSON: "application/json",
}
COLUMNS = (
    *("id", "test", "version", "created_at", "total", "severity"),
    *("complete", "prorated", "flags", "answers"),
)


@assessments.on("result:export", roles=CARE, rate=READ_RATE, reads=True)
async def export(ctx: Context, request: Export) -> Exported:
    """Results as a file: one's own, or with `patient_id` a patient's; a page of them at a time.

    `fhir`: a FHIR R4 Bundle with each Questionnaire, a QuestionnaireResponse and an Observation
    for each result. `csv`: a line for each result, answers as `question=score`. `json`: the page
    as `result:list` has it.

    Raises: invalid, not_found.
    """
    user_id = await access_patient(ctx, request.patient_id, READ, "result:export")
    found, total = await find_page(ctx, request, user_id)
    return Exported(
        file_name=f"results.{request.format}" + (".json" if request.format == "fhir" else ""),
        file_type=TYPES[request.format],
        text=await _write(ctx, request, found, total),
        total=total,
        skip=request.skip,
        limit=request.limit,
    )


async def _write(ctx: Context, request: Export, found: Sequence[Found], total: int) -> str:
    if request.format == ExportFormat.JSON:
        items = [Result.of(one, ctx.locale) for one in found]
        return Page[Result].of(request, items, total).model_dump_json()
    forms = await load_forms(ctx, found)
    if request.format == ExportFormat.CSV:
        return _write_csv(found, forms)
    rows = [one.result for one in found]
    bundle = write_bundle(forms, rows, ctx.runtime.settings.public_url)
    return json.dumps(bundle, ensure_ascii=False)


async def load_forms(ctx: Context, found: Sequence[Found]) -> dict[int, Form]:
    versions = {version.id: (test, version) for _, test, version in found}
    items = await tests.load_items(ctx.db, versions)
    return {
        version_id: Form(test, version, items[version_id])
        for version_id, (test, version) in versions.items()
    }


def _write_csv(found: Sequence[Found], forms: dict[int, Form]) -> str:
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row, test, version in found:
        codes = {item.question.id: item.question.code for item in forms[version.id].items}
        answers = (
            f"{codes[question_id]}={'' if score is None else number(score)}"
            for question_id, _, score in row.answers
        )
        writer.writerow(
            [
                row.id,
                test.code or test.id,
                version.number,
                iso(row.created_at),
                number(row.total),
                row.severity or "",
                row.complete,
                row.prorated,
                " ".join(row.flags),
                " ".join(answers),
            ]
        )
    return text.getvalue()

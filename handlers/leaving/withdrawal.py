"""What a former psychologist has of a patient: nothing any more of how they were.

While two work together the psychologist is told of moods, results and alerts, and the log would
tell them again to whoever asks it from an earlier place. That ends with the relation.
"""

from collections.abc import Mapping
from typing import Any

from handlers.assessments import assessments
from handlers.assessments.payloads import Alert, Result
from handlers.care import care
from handlers.care.payloads import Condition
from handlers.leaving.redaction import Gone, redact
from handlers.mood import mood
from handlers.mood.payloads import Entry
from server.calls import full_name
from server.context import Context
from server.payload import Payload
from storage import accounts, leaving
from storage.leaving.copies import CHUNK

KINDS = (Condition, Result, Alert, Entry)
SPACES = (care, assessments, mood)

PUSHES = {
    (space.name, push.name): push.data
    for space in SPACES
    for push in space.pushes.values()
    if push.data in KINDS
}
ANSWERS = {
    full_name(event): event.response
    for space in SPACES
    for event in space.events.values()
    if event.response in KINDS
}


async def withdraw_copies(ctx: Context, psychologist_id: int, patient_id: int) -> None:
    """Redact what the psychologist's log and first answers say of the patient, in its place.

    Streams stay without a gap.
    """
    patient = await accounts.get_user(ctx.db, patient_id)
    if patient is None:
        return
    gone = Gone(patient_id, patient.name)
    await _redact_log(ctx, psychologist_id, gone)
    await _redact_replies(ctx, psychologist_id, gone)


async def _redact_log(ctx: Context, psychologist_id: int, gone: Gone) -> None:
    after: list[Any] = []
    while rows := await leaving.list_logged(ctx.db, psychologist_id, [gone.user_id], after):
        texts = [(row, _redact(PUSHES, (row.namespace, row.event), row.data, gone)) for row in rows]
        changed = [(row, text) for row, text in texts if text != row.data]
        await leaving.rewrite_logs(ctx.db, psychologist_id, changed)
        if changed:
            ctx.rewritten(psychologist_id)
        if len(rows) < CHUNK:
            break
        after = [rows[-1].namespace, rows[-1].seq]


async def _redact_replies(ctx: Context, psychologist_id: int, gone: Gone) -> None:
    after: list[Any] = []
    while rows := await leaving.list_replies(ctx.db, psychologist_id, [gone.user_id], after):
        texts = [(row, _redact(ANSWERS, row.event, row.answer, gone)) for row in rows]
        changed = [(row, text) for row, text in texts if text != row.answer]
        await leaving.rewrite_replies(ctx.db, psychologist_id, changed)
        if len(rows) < CHUNK:
            break
        after = [rows[-1].event, str(rows[-1].client_ref)]


def _redact(kinds: Mapping[Any, type[Payload]], key: Any, text: str, gone: Gone) -> str:
    if key not in kinds:
        return text
    value = kinds[key].model_validate_json(text)
    redacted = redact(value, gone)
    return text if redacted is value else redacted.model_dump_json()

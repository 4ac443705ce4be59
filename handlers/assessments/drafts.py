"""Answers on their way: saved one by one, and gone on with on another device."""

from handlers.assessments.answers import choose, open_form
from handlers.assessments.declared import (
    CHANGE_RATE,
    PATIENT,
    READ_RATE,
    assessments,
    draft_saved,
)
from handlers.assessments.payloads import Draft, GetDraft, SaveDraft
from server.context import Context
from storage import assessments as tests


@assessments.on("draft:save", roles=PATIENT, rate=CHANGE_RATE)
async def save_draft(ctx: Context, request: SaveDraft) -> Draft:
    """Add these answers to those saved before; answers of another version begin anew.

    Submitting the test ends its draft.

    Raises: invalid, not_found, conflict.
    """
    form = await open_form(ctx, request.test_id, request.answers)
    chosen = choose(form.items, request.answers)
    draft = await tests.lock_draft(ctx.db, ctx.user.id, form.test.id, form.version.id, ctx.now)
    is_same = draft.version_id == form.version.id
    answers = dict(draft.answers) if is_same or not chosen else {}
    for question_id, option in chosen.items():
        answers.pop(question_id, None)
        if option is not None:
            answers[question_id] = option.id
    version_id = form.version.id if chosen else draft.version_id
    await tests.keep_draft(ctx.db, draft, version_id, [*map(list, answers.items())], ctx.now)
    found = Draft.of(form.test.id, await tests.find_draft(ctx.db, ctx.user.id, form.test.id))
    ctx.push(draft_saved, found, to=[ctx.user.id])
    return found


@assessments.on("draft:get", roles=PATIENT, rate=READ_RATE, reads=True)
async def get_draft(ctx: Context, request: GetDraft) -> Draft:
    """The answers saved so far; empty when there are none."""
    return Draft.of(request.test_id, await tests.find_draft(ctx.db, ctx.user.id, request.test_id))

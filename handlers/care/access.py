"""Who may read what a person has written about themselves: they, and their psychologists."""

from server.context import Context
from server.errors import NotFound
from storage import care as relations


async def access_patient(ctx: Context, patient_id: int | None, action: str, event: str) -> int:
    """Whose things are read: without an id one's own.

    Reading a patient's is written into the audit trail before anything is read, in a unit of work
    of its own: the reading itself changes nothing.

    Raises: NotFound where they are not, or no longer, in this person's care.
    """
    if patient_id in (None, ctx.user.id):
        return ctx.user.id
    async with ctx.work(write=True) as work:
        if not await relations.is_active(work.db, ctx.user.id, patient_id):
            raise NotFound
        work.audit(action, subject_id=patient_id, event=event)
    return patient_id

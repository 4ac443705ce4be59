"""What people take along of their diaries."""

from datetime import date, datetime

from handlers.mood.declared import mood
from handlers.mood.payloads import Entry
from server.context import Context
from server.portions import PORTION, Portion
from storage import mood as diaries


@mood.exported("entries")
async def take_entries(ctx: Context, after: tuple[date, datetime, int] | None) -> Portion:
    rows = await diaries.list_entries_after(ctx.db, ctx.user.id, after=after, limit=PORTION)
    items = [Entry.model_validate(row) for row in rows]
    return Portion.of(items, rows, lambda row: (row.local_date, row.at, row.id))

"""Keeping a diary: entries are written, changed, taken away and read."""

from datetime import UTC, date, datetime
from typing import Any

from handlers.accounts.profile import access_user
from handlers.care import access_patient, tell_condition
from handlers.chat import CARE
from handlers.mood.calendar import find_local_date, is_believable
from handlers.mood.declared import (
    CHANGE_RATE,
    READ,
    READ_RATE,
    entry_added,
    entry_deleted,
    entry_updated,
    mood,
)
from handlers.mood.payloads import (
    AddEntry,
    DeleteEntry,
    Entry,
    EntryDeleted,
    ListEntries,
    UpdateEntry,
)
from server.context import Context
from server.errors import Invalid, NotFound
from server.outgoing import Push, Value
from server.payload import Page
from storage import care as relations
from storage import mood as diaries

MAX_A_DAY = 100


@mood.on("entry:add", roles=CARE, rate=CHANGE_RATE)
async def add_entry(ctx: Context, request: AddEntry) -> Entry:
    """Note how one feels, or felt: on the day that it is, or was, where the profile says one lives.

    No more than a hundred entries a day, from ten years ago until now.

    Raises: invalid.
    """
    readers = await _begin(ctx)
    zone = (await access_user(ctx, ctx.user.id)).time_zone
    row = await diaries.add_entry(
        ctx.db,
        user_id=ctx.user.id,
        score=request.score,
        note=request.note,
        tags=request.tags,
        activities=request.activities,
        created_at=ctx.now,
        **await _place(ctx, request.at or ctx.now, zone),
    )
    entry = Entry.model_validate(row)
    return await _tell(ctx, entry_added, entry, readers, {entry.local_date})


@mood.on("entry:update", roles=CARE, rate=CHANGE_RATE)
async def update_entry(ctx: Context, request: UpdateEntry) -> Entry:
    """Change an entry; what is left out stays. It keeps the time zone it was written in.

    Raises: invalid, not_found.
    """
    changes = request.model_dump(exclude={"client_ref", "entry_id", "at"}, exclude_none=True)
    if "note" in request.model_fields_set:
        changes["note"] = request.note
    readers = await _begin(ctx)
    row = await diaries.find_entry(ctx.db, ctx.user.id, request.entry_id)
    if row is None:
        raise NotFound
    if request.at is not None and request.at != row.at:
        changes |= await _place(ctx, request.at, row.time_zone, instead_of=row)
    if not changes:
        return Entry.model_validate(row)
    before = row.local_date
    for name, value in changes.items():
        setattr(row, name, value)
    row.updated_at = ctx.now
    entry = Entry.model_validate(row)
    return await _tell(ctx, entry_updated, entry, readers, {before, entry.local_date})


@mood.on("entry:delete", roles=CARE, rate=CHANGE_RATE)
async def delete_entry(ctx: Context, request: DeleteEntry) -> EntryDeleted:
    """Take an entry away.

    Raises: not_found.
    """
    readers = await _begin(ctx)
    day = await diaries.remove_entry(ctx.db, ctx.user.id, request.entry_id)
    if day is None:
        raise NotFound
    gone = EntryDeleted(entry_id=request.entry_id, user_id=ctx.user.id)
    return await _tell(ctx, entry_deleted, gone, readers, {day})


@mood.on("entry:list", roles=CARE, rate=READ_RATE, reads=True)
async def list_entries(ctx: Context, request: ListEntries) -> Page[Entry]:
    """One's own entries, or a patient's: the latest local date first, and its latest moment.

    Raises: invalid, not_found.
    """
    user_id = await access_patient(ctx, request.patient_id, READ, "entry:list")
    rows, total = await diaries.list_entries(
        ctx.db,
        user_id,
        start=request.start,
        end=request.end,
        skip=request.skip,
        limit=request.limit,
    )
    return Page[Entry].of(request, [Entry.model_validate(row) for row in rows], total)


async def _begin(ctx: Context) -> list[int]:
    """Lock what a change needs, in the order of all locks; who else is to be told."""
    readers = await relations.list_psychologists(ctx.db, ctx.user.id)
    await diaries.change_diary(ctx.db, ctx.user.id)
    return readers


async def _place(
    ctx: Context, at: datetime, zone: str, *, instead_of: diaries.Entry | None = None
) -> dict[str, Any]:
    """Where in the diary a moment belongs.

    Raises: Invalid where it cannot be, or that day is full.
    """
    if not is_believable(at, ctx.now):
        raise Invalid.of("at", "out_of_range", "Not in the future, nor more than ten years ago")
    at = at.astimezone(UTC)
    day = find_local_date(at, zone)
    is_there = instead_of is not None and instead_of.local_date == day
    if not is_there and await diaries.count_entries(ctx.db, ctx.user.id, day) >= MAX_A_DAY:
        raise Invalid.of("at", "too_many", "There are a hundred entries on this day")
    return {"at": at, "time_zone": zone, "local_date": day}


async def _tell(
    ctx: Context, push: Push[Value], data: Value, readers: list[int], days: set[date]
) -> Value:
    await tell_condition(ctx, ctx.user.id, readers, days=days)
    ctx.push(push, data, to=[ctx.user.id, *readers])
    return data

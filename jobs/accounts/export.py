"""Accounts, later: everything that is a person's, gathered from all nouns into one archive."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from handlers import NAMESPACES, notifications
from handlers.accounts import make_export
from handlers.accounts.export_payloads import MakeExport
from handlers.accounts.exports import ARCHIVE_TYPE, finish_export
from handlers.uploads.takeout import place_file
from jobs.accounts.archive import Archive
from jobs.perform import implements
from server import texts
from server.auth import Identity
from server.context import Context
from server.contract import Export
from server.log import get_logger
from server.portions import PORTION
from storage import accounts, uploads
from storage.accounts import Role, Status, User
from storage.notifications import NewNotification

log = get_logger(__name__)


@implements(make_export)
async def export_everything(ctx: Context, payload: MakeExport) -> None:
    """Make the archive, keep it, and tell the person that it is there.

    It is read in small units of work, so each part is as of when that was read.
    """
    async with ctx.work() as work:
        row = await accounts.begin_export(work.db, payload.export_id)
        person = await accounts.get_user(work.db, row.user_id) if row else None
    if row is None or person is None:
        return
    for key in row.blob_keys[:-1]:
        # Whoever was at it before is dead, or will find that it is not theirs any more.
        await ctx.runtime.blobs.remove(key)
    folder = ctx.runtime.settings.data_dir / "incoming"
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path, part = Path(name, "archive"), Path(name, "part")
        archive = Archive(path, ctx.now, person.id)
        theirs = replace(ctx, actor=_identify(person))
        await _add_nouns(theirs, archive, part)
        await _add_files(theirs, archive, part)
        size, sha256 = await asyncio.to_thread(archive.finish)
        await ctx.runtime.blobs.put(row.blob_key, path, ARCHIVE_TYPE)
    if await finish_export(ctx, row, size=size, sha256=sha256):
        await _notify(ctx, person, row.id)


async def _add_nouns(ctx: Context, archive: Archive, part: Path) -> None:
    for namespace in NAMESPACES:
        for export in namespace.exports.values():
            name = f"{namespace.name[1:]}/{export.name}"
            if export.together:
                await _write_list(ctx, export, part)
                await asyncio.to_thread(archive.add, f"{name}.json", part, packed=True)
            else:
                await _add_each(ctx, export, archive, name, part)


async def _write_list(ctx: Context, export: Export, part: Path) -> None:
    """A JSON array, as it is read."""
    await asyncio.to_thread(part.write_text, "[", "utf-8")
    between = "\n"
    async for items in _read(ctx, export):
        if items:
            await asyncio.to_thread(_append, part, between + ",\n".join(items))
            between = ",\n"
    await asyncio.to_thread(_append, part, "\n]\n")


async def _add_each(ctx: Context, export: Export, archive: Archive, name: str, part: Path) -> None:
    """A file for each item; the second one is numbered 2."""
    number = 0
    async for items in _read(ctx, export):
        for item in items:
            number += 1
            await asyncio.to_thread(part.write_text, item, "utf-8")
            numbered = f"{name}-{number}" if number > 1 else name
            await asyncio.to_thread(archive.add, f"{numbered}.json", part, packed=True)


async def _read(ctx: Context, export: Export) -> AsyncIterator[list[str]]:
    """What there is of a noun, as JSON, a portion at a time. Links would not live long enough."""
    links = ctx.runtime.links
    after = None
    while True:
        async with ctx.work(write=False) as work:
            portion = await export.gather(work, after)
        yield [links.unsign(item.model_dump_json()) for item in portion.items]
        if portion.after is None:
            return
        after = portion.after


async def _add_files(ctx: Context, archive: Archive, part: Path) -> None:
    """Everything the person uploaded, one file at a time; never whole in memory."""
    after = 0
    while True:
        async with ctx.work(write=False) as work:
            rows = await uploads.list_uploads_after(
                work.db, ctx.user.id, after=after, limit=PORTION
            )
        for row in rows:
            if await ctx.runtime.blobs.fetch(row.blob_key, part):
                # What people upload is packed already, as pictures and films are.
                await asyncio.to_thread(archive.add, place_file(row), part, packed=False)
            else:
                # Deleted just now, or lost; either way there is nothing to take along.
                log.warning("export.no_bytes", upload_id=row.id)
        if len(rows) < PORTION:
            return
        after = rows[-1].id


async def _notify(ctx: Context, person: User, export_id: int) -> None:
    note = NewNotification(
        user_id=person.id,
        type=notifications.EXPORT.name,
        subject=f"export:{export_id}",
        title=texts.get("notification.export_title", person.locale),
        text=texts.get("notification.export_text", person.locale),
        link="/account",
        data={"export_id": export_id},
    )
    await notifications.notify(ctx, [note])


def _identify(person: User) -> Identity:
    """The person, as if they asked for each thing themselves."""
    is_pending = person.status == Status.PENDING
    return Identity(person.id, Role(person.role), 0, person.locale, pending=is_pending)


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)

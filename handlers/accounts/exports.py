"""Taking everything along: an archive is asked for, made later, fetched, and forgotten."""

from collections.abc import Collection
from datetime import timedelta
from uuid import uuid4

from handlers.accounts.declared import EXPORT_TIMEOUT, account, export_ready, make_export
from handlers.accounts.export_payloads import (
    Export,
    GetExport,
    ListExports,
    MakeExport,
    name_archive,
)
from handlers.uploads import RemoveBlob, locate, remove_blob
from server.bodies import File, Redirect
from server.context import Context
from server.contract import EVERYONE
from server.errors import NotFound, RateLimited
from server.limits import Rate
from server.payload import Nothing, Page
from storage import accounts

ASK_RATE = Rate(10, per=60)
LIST_RATE = Rate(60, per=10)
READ_RATE = Rate(300, per=60)
AGAIN_AFTER = timedelta(hours=6)
KEPT = timedelta(days=7)
ARCHIVE_TYPE = "application/zip"


@account.route("POST", "/account/export", roles=EVERYONE, rate=ASK_RATE, status=202)
async def ask_for_export(ctx: Context, request: Nothing) -> None:
    """Everything that is the person's as an archive, which `export:ready` brings when it is made.

    Asking again while it is in the making makes no other one; afterwards there is one in six
    hours. It is kept for a week.

    Raises: rate_limited.
    """
    await accounts.lock_user(ctx.db, ctx.user.id)
    export = await accounts.find_last_export(ctx.db, ctx.user.id)
    if export is None or export.ready_at is not None:
        if export is not None and ctx.now < export.asked_at + AGAIN_AFTER:
            left = export.asked_at + AGAIN_AFTER - ctx.now
            raise RateLimited(retry_after=left.total_seconds())
        export = await accounts.add_export(
            ctx.db, ctx.user.id, place=uuid4().hex, now=ctx.now, expires_at=ctx.now + KEPT
        )
        ctx.audit("account.export_asked", subject_id=ctx.user.id, export_id=export.id)
    # Also for one that is pending: its job may have been given up.
    ctx.enqueue(make_export, MakeExport(export_id=export.id), key=str(export.id))


@account.on("export:list", roles=EVERYONE, rate=LIST_RATE, reads=True)
async def list_exports(ctx: Context, request: ListExports) -> Page[Export]:
    """The person's archives that are there to be fetched, the newest first."""
    rows, total = await accounts.list_exports(
        ctx.db, ctx.user.id, ctx.now, skip=request.skip, limit=request.limit
    )
    return Page[Export].of(request, [Export.of(row, ctx.link) for row in rows], total)


@account.route(
    "GET",
    r"/account/exports/{export_id:\d+}",
    roles=EVERYONE,
    rate=READ_RATE,
    reads=True,
    signed=True,
)
async def get_export(ctx: Context, request: GetExport) -> File | Redirect:
    """The archive: a zip, in ranges where asked for, until it expires.

    `manifest.json` names every file with its size and SHA-256; there are JSON files for each
    noun, results as FHIR R4 bundles too, and the person's files.

    Raises: not_found, unavailable.
    """
    async with ctx.work() as work:
        row = await accounts.get_export(work.db, request.export_id, ctx.now)
    if row is None or row.ready_at is None:
        raise NotFound
    if ctx.actor is not None and ctx.actor.id != row.user_id:
        raise NotFound
    name = name_archive(row.ready_at)
    return await locate(ctx, row.blob_key, name, ARCHIVE_TYPE, lasting=False)


async def finish_export(ctx: Context, export: accounts.Export, *, size: int, sha256: str) -> bool:
    """The archive of this attempt is the export, and the person is told.

    False when another attempt has begun since, or nobody wants it any more: its bytes go again.
    """
    await accounts.lock_user(ctx.db, export.user_id)
    row = await accounts.finish_export(
        ctx.db, export, size=size, sha256=sha256, now=ctx.now, expires_at=ctx.now + KEPT
    )
    if row is None:
        key = export.blob_key
        ctx.enqueue(remove_blob, RemoveBlob(key=key), key=key)
        return False
    ctx.push(export_ready, Export.of(row, ctx.link), to=[row.user_id])
    return True


def forget_archives(ctx: Context, rows: Collection[accounts.Export]) -> None:
    """Forget the bytes of exports whose rows are gone with this transaction.

    Where one was in the making, only when nobody can be at it any more.
    """
    for row in rows:
        delay = timedelta(0) if row.ready_at else timedelta(seconds=2 * EXPORT_TIMEOUT)
        for key in row.blob_keys:
            ctx.enqueue(remove_blob, RemoveBlob(key=key), key=key, delay=delay)


async def sweep_exports(ctx: Context) -> None:
    """Forget exports whose time is over, in small steps."""
    gone: list[accounts.Export] | None = None
    while gone is None or gone:
        async with ctx.work() as work:
            gone = await accounts.delete_expired_exports(work.db, ctx.now)
            forget_archives(work, gone)

"""Uploads, later: small pictures, and forgetting."""

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

from handlers.uploads import forget_bytes, make_thumbnail, remove_blob, sweep
from handlers.uploads.inspection import make_thumbnail as shrink
from handlers.uploads.payloads import MakeThumbnail, RemoveBlob, SweepUploads
from jobs.perform import GiveUp, implements
from server.context import Context
from server.errors import Invalid
from storage import uploads
from storage.uploads import SWEEP_CHUNK

LOOSE_FOR = timedelta(days=1)
SWEEP_EVERY = timedelta(hours=1)


@implements(make_thumbnail)
async def add_thumbnail(ctx: Context, payload: MakeThumbnail) -> None:
    """Make the small picture of an image, always under the same key."""
    async with ctx.work() as work:
        row = await uploads.get_upload(work.db, payload.upload_id)
    if row is None:
        return
    folder = ctx.runtime.settings.data_dir / "incoming"
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        whole, small = Path(name, "whole"), Path(name, "small")
        if not await ctx.runtime.blobs.fetch(row.blob_key, whole):
            raise GiveUp("no_bytes")
        try:
            await ctx.runtime.images.run(shrink, whole, small)
        except Invalid:
            raise GiveUp("broken_image") from None
        await ctx.runtime.blobs.put(row.thumbnail_key, small, "image/webp")
    if not await uploads.mark_thumbnail(ctx.db, row.id, ctx.now):
        # Its bytes may have been removed before these came.
        forget_bytes(ctx, [row])


@implements(remove_blob)
async def forget_blob(ctx: Context, payload: RemoveBlob) -> None:
    await ctx.runtime.blobs.remove(payload.key)


@implements(sweep)
async def sweep_uploads(ctx: Context, payload: SweepUploads) -> None:
    """Forget uploads that nobody used within a day, and those whose bytes never came."""
    gone = SWEEP_CHUNK
    while gone == SWEEP_CHUNK:
        async with ctx.work() as work:
            rows = await uploads.delete_loose(work.db, ctx.now - LOOSE_FOR)
            forget_bytes(work, rows)
        gone = len(rows)
    ctx.enqueue(sweep, SweepUploads(), key="sweep", delay=SWEEP_EVERY)

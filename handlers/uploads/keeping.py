"""Files are put to use by other nouns, and go when these are done with them."""

from collections.abc import Collection, Sequence

from handlers.uploads.declared import remove_blob
from handlers.uploads.payloads import RemoveBlob
from handlers.uploads.purposes import Purpose
from server.context import Context
from server.errors import Invalid
from storage import uploads as files


async def attach(
    ctx: Context, owner_id: int, upload_ids: Sequence[int], purpose: Purpose, *, field: str
) -> list[files.Upload]:
    """Put someone's files to use, in this order; each can be used once.

    Raises: Invalid at the field, when any of them is not theirs, not for this, or used already.
    """
    found = await files.lock_loose(ctx.db, owner_id, upload_ids, purpose)
    if len(found) < len(upload_ids):
        raise Invalid.of(field, "unknown_upload", f"One's own unused uploads, for {purpose}")
    await files.mark_attached(ctx.db, upload_ids, ctx.now)
    return [found[upload_id] for upload_id in upload_ids]


async def discard(ctx: Context, upload_ids: Collection[int]) -> None:
    """Forget files: the rows now, the bytes after this transaction."""
    forget_bytes(ctx, await files.delete_uploads(ctx.db, upload_ids))


def forget_bytes(ctx: Context, rows: Collection[files.Upload]) -> None:
    for row in rows:
        for key in (row.blob_key, row.thumbnail_key):
            ctx.enqueue(remove_blob, RemoveBlob(key=key), key=key)

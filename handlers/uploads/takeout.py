"""What people take along of their files: what is known of them, and where each is in the archive."""

import re
from pathlib import PurePath

from handlers.uploads.declared import uploads
from handlers.uploads.payloads import Upload
from server.context import Context
from server.portions import PORTION, Portion
from storage import uploads as files

_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}")


class ArchivedUpload(Upload):
    """A file, and its path in the archive."""

    path: str


@uploads.exported("uploads")
async def take_uploads(ctx: Context, after: int | None) -> Portion:
    rows = await files.list_uploads_after(ctx.db, ctx.user.id, after=after or 0, limit=PORTION)
    items = [
        ArchivedUpload(**Upload.of(row, ctx.link).model_dump(), path=place_file(row))
        for row in rows
    ]
    return Portion.of(items, rows, lambda row: row.id)


def place_file(row: files.Upload) -> str:
    """A path that every system can unpack, whatever the file is called."""
    ending = PurePath(row.file_name).suffix
    return f"files/{row.id}{ending if _ENDING.fullmatch(ending) else ''}"

"""What uploads look like on the wire."""

from collections.abc import Callable

from handlers.uploads.purposes import Purpose
from server.payload import Id, Instant, Payload
from storage import uploads

Link = Callable[[str], str]
"""Makes a path a URL that opens it: `ctx.link`."""


class Upload(Payload):
    """A file. Its URLs open it to whoever has them, for an hour or two."""

    id: Id
    purpose: Purpose
    file_name: str
    file_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None
    url: str
    thumbnail_url: str | None
    created_at: Instant

    @classmethod
    def of(cls, row: uploads.Upload, link: Link) -> "Upload":
        return cls(
            id=row.id,
            purpose=Purpose(row.purpose),
            file_name=row.file_name,
            file_type=row.file_type,
            size=row.size,
            sha256=row.sha256,
            width=row.width,
            height=row.height,
            url=link(f"/uploads/{row.id}"),
            thumbnail_url=link(thumbnail_path(row.id)) if row.width else None,
            created_at=row.created_at,
        )


class AddUpload(Payload):
    """The fields beside the file."""

    purpose: Purpose


class GetUpload(Payload):
    upload_id: Id


class MakeThumbnail(Payload):
    """The job: a small picture of an image."""

    upload_id: Id


class RemoveBlob(Payload):
    """The job: forget bytes that no row tells of any more."""

    key: str


class SweepUploads(Payload):
    """The job: forget what was uploaded and never used."""


def thumbnail_path(upload_id: int) -> str:
    return f"/uploads/{upload_id}/thumbnail"

"""What people take along, and what is in it of accounts, on the wire."""

from datetime import datetime

from handlers.accounts.payloads import User
from handlers.uploads import Link
from server.payload import Id, Instant, PageRequest, Payload
from storage import accounts


class Export(Payload):
    """An archive of everything that is a person's. Its URL opens it to whoever has it.

    The URL works for an hour or two, `export:list` gives another one until `expires_at`.
    """

    id: Id
    url: str
    file_name: str
    size: int
    sha256: str
    asked_at: Instant
    created_at: Instant
    expires_at: Instant

    @classmethod
    def of(cls, row: accounts.Export, link: Link) -> "Export":
        if row.size is None or row.sha256 is None or row.ready_at is None:
            raise ValueError("an export that is not made yet is not shown")
        return cls(
            id=row.id,
            url=link(f"/account/exports/{row.id}"),
            file_name=name_archive(row.ready_at),
            size=row.size,
            sha256=row.sha256,
            asked_at=row.asked_at,
            created_at=row.ready_at,
            expires_at=row.expires_at,
        )


class ListExports(PageRequest):
    pass


class GetExport(Payload):
    export_id: Id


class MakeExport(Payload):
    """The job: gather everything, and tell that it is there."""

    export_id: Id


class ArchivedFile(Payload):
    """One file of an archive: `size` in bytes, and the SHA-256 of these in hexadecimal."""

    path: str
    size: int
    sha256: str


class Manifest(Payload):
    """What an archive holds; `manifest.json` itself is not in the list."""

    schema_version: int
    created_at: Instant
    user_id: Id
    files: list[ArchivedFile]


class OwnProfile(User):
    """The profile, with what else is kept of a person's account."""

    email_verified_at: Instant | None
    oauth_provider: str | None
    oauth_subject: str | None
    last_seen_at: Instant | None

    @classmethod
    def of(cls, row: accounts.User, link: Link) -> "OwnProfile":
        return cls(
            **User.of(row, link).model_dump(),
            email_verified_at=row.email_verified_at,
            oauth_provider=row.oauth_provider,
            oauth_subject=row.oauth_subject,
            last_seen_at=row.last_seen_at,
        )


class OwnSession(Payload):
    """A sign-in, also one that has ended, without what it proves itself with."""

    id: Id
    user_agent: str
    address: str
    created_at: Instant
    last_used_at: Instant
    expires_at: Instant
    ended_at: Instant | None


class OwnDevice(Payload):
    """Where pushes go, without the token."""

    platform: str
    registered_at: Instant


def name_archive(made_at: datetime) -> str:
    return f"emotrack-{made_at:%Y-%m-%d}.zip"

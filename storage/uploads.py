"""Uploads: what is known of each file, and what has become of it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer, String, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage.accounts import MAY_SIGN_IN, User
from storage.schema import NEVER_REUSED, Key, Table, UserId

SWEEP_CHUNK = 200
_LOOSE = "attached_at IS NULL"


class Upload(Table):
    """A file. Until `stored_at` its bytes may be anywhere or nowhere; unattached, it goes in a day."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index(None, "owner_id", "id"),
        Index(
            "ix_uploads_loose",
            "created_at",
            postgresql_where=text(_LOOSE),
            sqlite_where=text(_LOOSE),
        ),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    owner_id: Mapped[UserId]
    purpose: Mapped[str] = mapped_column(String(20))
    file_name: Mapped[str] = mapped_column(String(200))
    file_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    blob_key: Mapped[str] = mapped_column(String(60))
    thumbnail_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    stored_at: Mapped[datetime | None]
    attached_at: Mapped[datetime | None]

    @property
    def thumbnail_key(self) -> str:
        return f"{self.blob_key}.thumbnail"


@dataclass(frozen=True, slots=True)
class NewUpload:
    owner_id: int
    purpose: str
    file_name: str
    file_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None
    blob_key: str


async def reserve_upload(
    db: AsyncSession, new: NewUpload, *, quota: int, now: datetime
) -> Upload | None:
    """A row for bytes that are yet to be stored, or None when its owner has no room for them.

    The file may have been on its way for an hour: whoever has left meanwhile has no room at all.
    """
    # Whoever uploads two files at once has room for both or waits here.
    status = await db.scalar(
        select(User.status).where(User.id == new.owner_id).with_for_update(key_share=True)
    )
    if status not in MAY_SIGN_IN:
        return None
    used = await db.scalar(
        select(func.coalesce(func.sum(Upload.size), 0)).where(Upload.owner_id == new.owner_id)
    )
    if (used or 0) + new.size > quota:
        return None
    upload = Upload(
        owner_id=new.owner_id,
        purpose=new.purpose,
        file_name=new.file_name,
        file_type=new.file_type,
        size=new.size,
        sha256=new.sha256,
        width=new.width,
        height=new.height,
        blob_key=new.blob_key,
        created_at=now,
    )
    db.add(upload)
    await db.flush()
    return upload


async def mark_stored(db: AsyncSession, upload_id: int, now: datetime) -> bool:
    """False when the upload is gone."""
    marked = await db.scalar(
        update(Upload).where(Upload.id == upload_id).values(stored_at=now).returning(Upload.id)
    )
    return marked is not None


async def mark_thumbnail(db: AsyncSession, upload_id: int, now: datetime) -> bool:
    """False when the upload is gone."""
    marked = await db.scalar(
        update(Upload).where(Upload.id == upload_id).values(thumbnail_at=now).returning(Upload.id)
    )
    return marked is not None


async def get_upload(db: AsyncSession, upload_id: int) -> Upload | None:
    """An upload whose bytes are there."""
    return (
        await db.scalars(
            select(Upload).where(Upload.id == upload_id, Upload.stored_at.is_not(None))
        )
    ).one_or_none()


async def list_uploads_after(
    db: AsyncSession, owner_id: int, *, after: int, limit: int
) -> list[Upload]:
    """A person's files whose bytes are there, by id."""
    rows = await db.scalars(
        select(Upload)
        .where(Upload.owner_id == owner_id, Upload.id > after, Upload.stored_at.is_not(None))
        .order_by(Upload.id)
        .limit(limit)
    )
    return list(rows)


async def lock_loose(
    db: AsyncSession, owner_id: int, upload_ids: Collection[int], purpose: str
) -> dict[int, Upload]:
    """Those of the uploads that this person may still use for this, locked."""
    rows = await db.scalars(
        select(Upload)
        .where(
            Upload.id.in_(upload_ids),
            Upload.owner_id == owner_id,
            Upload.purpose == purpose,
            Upload.stored_at.is_not(None),
            Upload.attached_at.is_(None),
        )
        .order_by(Upload.id)
        .with_for_update()
    )
    return {row.id: row for row in rows}


async def mark_attached(db: AsyncSession, upload_ids: Collection[int], now: datetime) -> None:
    await db.execute(update(Upload).where(Upload.id.in_(upload_ids)).values(attached_at=now))


async def delete_uploads(db: AsyncSession, upload_ids: Collection[int]) -> list[Upload]:
    """Forget uploads; the rows as they were, for their bytes are still there."""
    return list(await db.scalars(delete(Upload).where(Upload.id.in_(upload_ids)).returning(Upload)))


async def delete_loose(db: AsyncSession, before: datetime) -> list[Upload]:
    """Forget some uploads that nobody has used since then; the rows as they were."""
    loose = (
        select(Upload.id)
        .where(Upload.attached_at.is_(None), Upload.created_at < before)
        .order_by(Upload.created_at)
        .limit(SWEEP_CHUNK)
        .with_for_update(skip_locked=True)
    )
    return list(await db.scalars(delete(Upload).where(Upload.id.in_(loose)).returning(Upload)))

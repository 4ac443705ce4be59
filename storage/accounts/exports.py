"""Exports: that somebody takes everything along, and what has been made of it."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, String, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from storage.schema import NEVER_REUSED, Key, Table, UserId

SWEEP_CHUNK = 200
_PENDING = "ready_at IS NULL"


class Export(Table):
    """An archive: asked for, and until `ready_at` in the making. It goes at `expires_at`.

    Each attempt to make it has a place of its own for the bytes: whoever comes back from the dead
    changes nothing that was announced.
    """

    __tablename__ = "exports"
    __table_args__ = (
        Index(None, "user_id", "id"),
        Index(None, "expires_at"),
        Index(
            "uq_exports_pending",
            "user_id",
            unique=True,
            postgresql_where=text(_PENDING),
            sqlite_where=text(_PENDING),
        ),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    user_id: Mapped[UserId]
    place: Mapped[str] = mapped_column(String(40))
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    asked_at: Mapped[datetime]
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]

    @property
    def blob_key(self) -> str:
        return self.blob_keys[-1]

    @property
    def blob_keys(self) -> list[str]:
        """Wherever there may be bytes of it, the last attempt's at the end."""
        return [f"export/{attempt}/{self.place}" for attempt in range(1, self.attempts + 1)]


async def find_last_export(db: AsyncSession, user_id: int) -> Export | None:
    return (
        await db.scalars(
            select(Export).where(Export.user_id == user_id).order_by(Export.id.desc()).limit(1)
        )
    ).one_or_none()


async def add_export(
    db: AsyncSession, user_id: int, *, place: str, now: datetime, expires_at: datetime
) -> Export:
    export = Export(user_id=user_id, place=place, attempts=0, asked_at=now, expires_at=expires_at)
    db.add(export)
    await db.flush()
    return export


async def begin_export(db: AsyncSession, export_id: int) -> Export | None:
    """One more attempt; None when it is made already, or wanted no more."""
    return (
        await db.scalars(
            update(Export)
            .where(Export.id == export_id, Export.ready_at.is_(None))
            .values(attempts=Export.attempts + 1)
            .returning(Export)
        )
    ).one_or_none()


async def finish_export(
    db: AsyncSession, export: Export, *, size: int, sha256: str, now: datetime, expires_at: datetime
) -> Export | None:
    """The export, made by this attempt; None when there was another since, or it is gone."""
    return (
        await db.scalars(
            update(Export)
            .where(
                Export.id == export.id,
                Export.ready_at.is_(None),
                Export.attempts == export.attempts,
            )
            .values(size=size, sha256=sha256, ready_at=now, expires_at=expires_at)
            .returning(Export)
            .execution_options(populate_existing=True)
        )
    ).one_or_none()


async def get_export(db: AsyncSession, export_id: int, now: datetime) -> Export | None:
    """An export that is there to be fetched."""
    return (
        await db.scalars(
            select(Export).where(
                Export.id == export_id, Export.ready_at.is_not(None), Export.expires_at > now
            )
        )
    ).one_or_none()


async def list_exports(
    db: AsyncSession, user_id: int, now: datetime, *, skip: int, limit: int
) -> tuple[list[Export], int]:
    """Those that are there to be fetched, the newest first."""
    wanted = (Export.user_id == user_id, Export.ready_at.is_not(None), Export.expires_at > now)
    total = (await db.execute(select(func.count()).where(*wanted))).scalar_one()
    rows = await db.scalars(
        select(Export).where(*wanted).order_by(Export.id.desc()).offset(skip).limit(limit)
    )
    return list(rows), total


async def delete_exports(db: AsyncSession, user_id: int) -> list[Export]:
    """Forget all of a person's; the rows as they were, for their bytes are still there."""
    return list(await db.scalars(delete(Export).where(Export.user_id == user_id).returning(Export)))


async def delete_expired_exports(db: AsyncSession, now: datetime) -> list[Export]:
    """Forget some whose time is over; the rows as they were."""
    expired = (
        select(Export.id)
        .where(Export.expires_at <= now)
        .order_by(Export.expires_at)
        .limit(SWEEP_CHUNK)
        .with_for_update(skip_locked=True)
    )
    return list(await db.scalars(delete(Export).where(Export.id.in_(expired)).returning(Export)))

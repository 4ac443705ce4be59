"""Devices that push messages go to."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from storage.accounts.tables import Device
from storage.database import insert

MAX_DEVICES = 20


async def add_device(
    db: AsyncSession, user_id: int, session_id: int, *, token: str, platform: str, now: datetime
) -> None:
    """Bind a token to a session, wherever it was before; the oldest beyond a bound go."""
    values = {
        "user_id": user_id,
        "session_id": session_id,
        "platform": platform,
        "registered_at": now,
    }
    statement = insert(db, Device).values(token=token, **values)
    await db.execute(statement.on_conflict_do_update(index_elements=[Device.token], set_=values))
    newest = (
        select(Device.id)
        .where(Device.user_id == user_id)
        .order_by(Device.registered_at.desc(), Device.id.desc())
        .limit(MAX_DEVICES)
    )
    kept = list(await db.scalars(newest))
    if len(kept) == MAX_DEVICES:
        await db.execute(delete(Device).where(Device.user_id == user_id, Device.id.not_in(kept)))


async def remove_device(db: AsyncSession, user_id: int, token: str) -> bool:
    """Forget a person's token; False when they had none such."""
    gone = await db.scalar(
        delete(Device).where(Device.token == token, Device.user_id == user_id).returning(Device.id)
    )
    return gone is not None


async def list_devices(db: AsyncSession, user_id: int) -> list[Device]:
    rows = await db.scalars(select(Device).where(Device.user_id == user_id).order_by(Device.id))
    return list(rows)


async def get_device(db: AsyncSession, device_id: int) -> Device | None:
    return await db.get(Device, device_id)


async def delete_device(db: AsyncSession, device_id: int, token: str) -> None:
    """Forget a device whose token is no good, unless it has another one by now."""
    await db.execute(delete(Device).where(Device.id == device_id, Device.token == token))

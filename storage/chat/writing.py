"""Opening and closing chats."""

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from storage.chat.tables import Chat, ChatStatus, Message
from storage.database import insert


async def open_chat(
    db: AsyncSession, psychologist_id: int, patient_id: int, now: datetime
) -> tuple[int, bool]:
    """The pair's chat, made or opened again at need; its id, and whether anything changed."""
    statement = insert(db, Chat).values(
        psychologist_id=psychologist_id,
        patient_id=patient_id,
        status=ChatStatus.OPEN,
        last_at=now,
        created_at=now,
    )
    opened = await db.scalar(
        statement.on_conflict_do_update(
            index_elements=[Chat.psychologist_id, Chat.patient_id],
            set_={"status": ChatStatus.OPEN},
            where=Chat.status == ChatStatus.CLOSED,
        ).returning(Chat.id)
    )
    if opened is None:
        chat_id = (
            await db.execute(select(Chat.id).where(*_pair(psychologist_id, patient_id)))
        ).scalar_one()
        return chat_id, False
    return opened, True


async def close_chat(db: AsyncSession, psychologist_id: int, patient_id: int) -> int | None:
    """Close the pair's chat; its id, or None when there was no open one."""
    return await db.scalar(
        update(Chat)
        .where(*_pair(psychologist_id, patient_id), Chat.status == ChatStatus.OPEN)
        .values(status=ChatStatus.CLOSED)
        .returning(Chat.id)
    )


async def get_message(db: AsyncSession, chat_id: int, seq: int) -> Message | None:
    return await db.get(Message, (chat_id, seq), populate_existing=True)


def _pair(psychologist_id: int, patient_id: int) -> tuple[Any, ...]:
    return (Chat.psychologist_id == psychologist_id, Chat.patient_id == patient_id)

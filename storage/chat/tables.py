"""The tables of chats: conversations, messages, and how far each person has got."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.schema import NEVER_REUSED, Key, Number, Table, UserId, UserKey, big_integer


class ChatStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Marker(StrEnum):
    DELIVERED = "delivered"
    READ = "read"


class Chat(Table):
    """The one conversation of a pair. `last_seq` numbers its messages without a gap."""

    __tablename__ = "chats"
    __table_args__ = (
        UniqueConstraint("psychologist_id", "patient_id"),
        Index(None, "patient_id"),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    psychologist_id: Mapped[UserId]
    patient_id: Mapped[UserId]
    status: Mapped[str] = mapped_column(String(10))
    last_seq: Mapped[Number] = mapped_column(default=0, server_default="0")
    last_at: Mapped[datetime]
    created_at: Mapped[datetime]


class Member(Table):
    """How far one person has got in a chat.

    A person's own message reads everything before it, so what follows `read_seq` is all the
    other's, and `unread` is how much of that has not been deleted.
    """

    __tablename__ = "chat_members"
    # None over what moves with every message: a row without is replaced within its page.
    __table_args__ = (Index("ix_chat_members_user_id", "user_id", "chat_id"),)

    chat_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UserKey]
    read_seq: Mapped[Number] = mapped_column(default=0, server_default="0")
    delivered_seq: Mapped[Number] = mapped_column(default=0, server_default="0")
    unread: Mapped[Number] = mapped_column(default=0, server_default="0")


class Message(Table):
    """Written under its chat's lock: there is no foreign key, whose checks cost more than the row."""

    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("sender_id", "client_ref"),)

    chat_id: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    sender_id: Mapped[Number]
    client_ref: Mapped[UUID] = mapped_column(Uuid)
    request_hash: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]
    deleted: Mapped[bool] = mapped_column(default=False, server_default="0")
    files: Mapped[int] = mapped_column(default=0, server_default="0")


class Attachment(Table):
    """One file of a message, in its place among the others."""

    __tablename__ = "attachments"
    __table_args__ = (UniqueConstraint("upload_id"),)

    chat_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("chats.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    upload_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("uploads.id", ondelete="CASCADE")
    )


class Receipt(Table):
    """A marker's moves: a message was read when the first move reached it. As messages, no keys."""

    __tablename__ = "receipts"

    chat_id: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    user_id: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    seq: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    at: Mapped[datetime]

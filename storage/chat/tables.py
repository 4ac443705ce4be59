"""The tables of chats: conversations, messages, and how far each person has got."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    or_,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.schema import NEVER_REUSED, Key, Number, Table, UserId, big_integer


class ChatStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Marker(StrEnum):
    DELIVERED = "delivered"
    READ = "read"


class Place(NamedTuple):
    """How far one person has got in a chat.

    A person's own message reads everything before it, so what follows `read_seq` is all the
    other's, and `unread` is how much of that has not been deleted.
    """

    read_seq: int
    delivered_seq: int
    unread: int


Counter = Annotated[int | None, mapped_column(big_integer, default=0, server_default="0")]


class Chat(Table):
    """The one conversation of a pair. `last_seq` numbers its messages without a gap.

    Both people's places (Place) are in its row, which every message moves anyway; NULL for one who
    is erased. There is no index over what moves: a row without is replaced within its page.
    """

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
    psychologist_read_seq: Mapped[Counter]
    psychologist_delivered_seq: Mapped[Counter]
    psychologist_unread: Mapped[Counter]
    patient_read_seq: Mapped[Counter]
    patient_delivered_seq: Mapped[Counter]
    patient_unread: Mapped[Counter]

    def find_place(self, user_id: int) -> Place | None:
        """None for whoever is not in it, or no longer."""
        for side in SIDES:
            if getattr(self, f"{side}_id") == user_id:
                found = [getattr(self, f"{side}_{name}") for name in Place._fields]
                return None if None in found else Place(*found)
        return None


SIDES = ("psychologist", "patient")
"""What the columns of each of the two begin with."""


def is_member(user_id: int) -> ColumnElement[bool]:
    """Of a chat: whether it is one of theirs, and they are still in it."""
    return or_(
        *(
            and_(
                getattr(Chat, f"{side}_id") == user_id,
                getattr(Chat, f"{side}_read_seq").is_not(None),
            )
            for side in SIDES
        )
    )


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


NEAR = 50
"""Messages; not fewer than a batch of them that is sent at once."""


class Receipt(Table):
    """A marker's moves: a message was read when the first move reached it. As messages, no keys.

    Whoever writes has read what is before. Where that is NEAR messages or fewer the message itself
    is the receipt: it is at most so far from what it reads.
    """

    __tablename__ = "receipts"

    chat_id: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    user_id: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    seq: Mapped[int] = mapped_column(big_integer, primary_key=True, autoincrement=False)
    at: Mapped[datetime]

"""The tables of leaving: who has gone for a while, and what becomes of those who go for good."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.schema import NEVER_REUSED, Key, Number, Table, UserKey, big_integer


class Departure(Table):
    """That a person deactivated their account, and the status they had and get back."""

    __tablename__ = "departures"

    user_id: Mapped[UserKey]
    status: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime]


class Erasure(Table):
    """An account that is erased; once it is finished, the receipt, which names nobody.

    `pseudonym` is random and negative, so that it is nobody's id: it stands in the audit trail
    where the person stood. `email` and `locale` are kept until the receipt has been sent there.
    """

    __tablename__ = "erasures"
    __table_args__ = (NEVER_REUSED,)

    id: Mapped[Key]
    user_id: Mapped[Number | None]
    pseudonym: Mapped[Number]
    email: Mapped[str | None] = mapped_column(String(254))
    locale: Mapped[str | None] = mapped_column(String(10))
    asked_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    counts: Mapped[dict[str, int]] = mapped_column(JSON)


class ErasureStep(Table):
    """How far one round has come with one store; `cursor` is where to go on."""

    __tablename__ = "erasure_steps"

    erasure_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("erasures.id", ondelete="CASCADE"), primary_key=True
    )
    round: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    store: Mapped[str] = mapped_column(String(20), primary_key=True)
    cursor: Mapped[list[Any]] = mapped_column(JSON)
    count: Mapped[Number]
    is_done: Mapped[bool]

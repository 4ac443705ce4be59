"""Every table, for whoever needs the whole schema."""

from storage import (
    accounts,
    audit,
    care,
    chat,
    events,
    goals,
    notifications,
    outbox,
    replies,
    uploads,
)
from storage.schema import Table

__all__ = [
    "accounts",
    "audit",
    "care",
    "chat",
    "events",
    "goals",
    "metadata",
    "notifications",
    "outbox",
    "replies",
    "uploads",
]

metadata = Table.metadata

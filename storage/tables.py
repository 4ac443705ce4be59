"""Every table, for whoever needs the whole schema."""

from storage import (
    accounts,
    assessments,
    audit,
    care,
    chat,
    dead_jobs,
    events,
    goals,
    leaving,
    mood,
    notifications,
    outbox,
    replies,
    uploads,
)
from storage.schema import Table

__all__ = [
    "accounts",
    "assessments",
    "audit",
    "care",
    "chat",
    "dead_jobs",
    "events",
    "goals",
    "leaving",
    "metadata",
    "mood",
    "notifications",
    "outbox",
    "replies",
    "uploads",
]

metadata = Table.metadata

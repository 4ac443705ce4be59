"""What happens later: every declared job has its function here."""

from jobs import accounts, assessments, care, chat, goals, leaving, notifications, upkeep, uploads
from jobs.perform import JOBS

__all__ = [
    "JOBS",
    "accounts",
    "assessments",
    "care",
    "chat",
    "goals",
    "leaving",
    "notifications",
    "upkeep",
    "uploads",
]

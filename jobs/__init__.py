"""What happens later: every declared job has its function here."""

from jobs import accounts, care, goals, notifications, upkeep, uploads
from jobs.perform import JOBS

__all__ = ["JOBS", "accounts", "care", "goals", "notifications", "upkeep", "uploads"]

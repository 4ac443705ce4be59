"""Moods: diaries, and what they come to over time."""

from handlers.mood import entries, statistics, takeout
from handlers.mood.declared import mood

__all__ = ["entries", "mood", "statistics", "takeout"]

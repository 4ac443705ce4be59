"""Goals, later: what the clock brings, and what a model writes."""

from jobs.goals import ai, clock

__all__ = ["ai", "clock"]

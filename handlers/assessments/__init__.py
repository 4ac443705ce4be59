"""Assessments: tests, what people answered, and what must not wait."""

from handlers.assessments import (
    alerts,
    authoring,
    crisis,
    drafts,
    export,
    history,
    shipped,
    submission,
    takeout,
)
from handlers.assessments.declared import assessments, escalate

__all__ = [
    "alerts",
    "assessments",
    "authoring",
    "crisis",
    "drafts",
    "escalate",
    "export",
    "history",
    "shipped",
    "submission",
    "takeout",
]

"""What happens when a client asks: events and routes, one module per noun."""

from handlers import (
    accounts,
    admin,
    assessments,
    care,
    chat,
    goals,
    leaving,
    mood,
    notifications,
    uploads,
)

__all__ = ["NAMESPACES", "leaving"]

# Leaving has no namespace of its own: its routes are among those of accounts.
NAMESPACES = (
    accounts.account,
    care.care,
    goals.goals,
    chat.chat,
    assessments.assessments,
    mood.mood,
    notifications.notifications,
    uploads.uploads,
    admin.admin,
)

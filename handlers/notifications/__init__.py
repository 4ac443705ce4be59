"""Notifications: the feed of things that wait for a person, and how they are told of it."""

from handlers.notifications import feed, preferences, takeout, unsubscribing
from handlers.notifications.declared import (
    announce,
    mail_digest,
    mail_notification,
    notifications,
    push_to_device,
)
from handlers.notifications.feed import announce_soon, notify, read_subjects
from handlers.notifications.kinds import DIGEST, EXPORT, KINDS, declare_kind
from handlers.notifications.preferences import get_switches
from handlers.notifications.unsubscribing import write_link

__all__ = [
    "DIGEST",
    "EXPORT",
    "KINDS",
    "announce",
    "announce_soon",
    "declare_kind",
    "feed",
    "get_switches",
    "mail_digest",
    "mail_notification",
    "notifications",
    "notify",
    "preferences",
    "push_to_device",
    "read_subjects",
    "takeout",
    "unsubscribing",
    "write_link",
]

"""Notifications: the feed of things that wait for a person, and what they want of it."""

from storage.notifications.feed import (
    NewNotification,
    add_notifications,
    count_unread,
    end_versions,
    find_dismissed,
    find_unread,
    list_notifications,
    list_notifications_after,
    lock_feeds,
    mark_read,
    mark_subjects_read,
    owns_notification,
    renew_notifications,
)
from storage.notifications.preferences import (
    get_preferences,
    list_preferences,
    list_subscriptions,
    set_preference,
    set_subscriptions,
)
from storage.notifications.tables import Notification, Preference, Subscription

__all__ = [
    "NewNotification",
    "Notification",
    "Preference",
    "Subscription",
    "add_notifications",
    "count_unread",
    "end_versions",
    "find_dismissed",
    "find_unread",
    "get_preferences",
    "list_notifications",
    "list_notifications_after",
    "list_preferences",
    "list_subscriptions",
    "lock_feeds",
    "mark_read",
    "mark_subjects_read",
    "owns_notification",
    "renew_notifications",
    "set_preference",
    "set_subscriptions",
]

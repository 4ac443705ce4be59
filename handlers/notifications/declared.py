"""What notifications tell people and leave for later."""

from handlers.notifications.payloads import (
    Announce,
    DigestMail,
    Notification,
    NotificationsErased,
    NotificationsRead,
    PushToDevice,
)
from server.contract import Namespace
from server.limits import Rate
from server.outgoing import Queue

READ_RATE = Rate(60, per=10)
CHANGE_RATE = Rate(60, per=10)

notifications = Namespace("/notifications", "The feed of things that wait for a person.")

notification_created = notifications.push(
    "notification:created", Notification, "Something new waits for the person."
)
notification_updated = notifications.push(
    "notification:updated", Notification, "Something that waits says something else now."
)
notifications_read = notifications.push(
    "notification:read", NotificationsRead, "Notifications were read, here or elsewhere."
)

notifications_erased = notifications.push(
    "notification:erased", NotificationsErased, "Whom notifications told of is there no more."
)

announce = notifications.job("notifications.announce", Announce, queue=Queue.PUSH)
push_to_device = notifications.job("notifications.push", PushToDevice, queue=Queue.PUSH)
mail_notification = notifications.job("notifications.mail", Announce, queue=Queue.MAIL)
mail_digest = notifications.job("notifications.mail_digest", DigestMail, queue=Queue.MAIL)

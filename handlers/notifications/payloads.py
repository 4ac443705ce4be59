"""What notifications look like on the wire."""

from typing import Annotated, Any

from pydantic import Field as Bounds

from server.payload import Change, Id, Instant, Line, PageRequest, Payload

Type = Annotated[str, Bounds(max_length=40, examples=["message"])]


class Notification(Payload):
    id: Id
    type: str
    title: str
    text: str
    link: str
    data: dict[str, Any]
    created_at: Instant
    read_at: Instant | None


class ListNotifications(PageRequest):
    unread: bool | None = None
    type: Type | None = None


class ReadNotification(Change):
    notification_id: Id


class NotificationsRead(Payload):
    """These were read; so many are unread now."""

    notification_ids: list[Id]
    total: int


class NotificationsErased(Payload):
    """These have another title now."""

    notification_ids: list[Id]
    title: str


class UnreadTotal(Payload):
    total: int


class Preference(Payload):
    """By which channels one type travels. A critical one cannot be switched off."""

    type: Type
    in_app: bool
    push: bool
    email: bool
    critical: bool


class Preferences(Payload):
    items: list[Preference]


class SetPreference(Change):
    type: Type
    in_app: bool
    push: bool
    email: bool


class Subscriptions(Payload):
    """The categories of resources that a person wants to hear of."""

    categories: list[str]


class SetSubscriptions(Change):
    categories: Annotated[list[Line], Bounds(max_length=100, examples=[["sleep"]])]


class Unsubscribe(Payload, extra="ignore"):
    """A link out of a letter. What mail programs add to it is left unread."""

    token: Annotated[str, Bounds(min_length=1, max_length=1000)]


class Announce(Payload):
    """The job: bring an unread notification to its person, if it is still wanted."""

    user_id: Id
    subject: str

    @property
    def key(self) -> str:
        """There is one such job pending for each."""
        return f"{self.user_id}:{self.subject}"


class PushContent(Payload):
    """What a push says. Without a `notification_id` it is wanted anyway."""

    user_id: Id
    type: str
    subject: str
    title: str
    text: str
    link: str
    data: dict[str, Any]
    notification_id: Id | None


class PushToDevice(Payload):
    """The job: one push to one device."""

    device_id: Id
    content: PushContent


class DigestMail(Payload):
    """The job: a summary by mail."""

    user_id: Id
    text: str

"""What becomes of a value that tells of somebody who is erased. Pure: values in, values out.

Each stays what it was, so that it may be told again in its place: the numbers of streams, messages
and things stay, what people wrote and how they were is gone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from handlers.accounts.export_payloads import Export
from handlers.accounts.payloads import Settings, User
from handlers.accounts.person import Person
from handlers.assessments.payloads import Alert, AlertsErased, Draft, Result
from handlers.care.payloads import Condition, Relation
from handlers.chat.payloads import Chat, ChatErased, MarkerMoved, Message
from handlers.goals.ai_payloads import SplitEnded, StageSuggested
from handlers.goals.payloads import (
    Achievement,
    AchievementsProgressed,
    Goal,
    GoalDeleted,
    ReminderDue,
)
from handlers.mood.payloads import Entry, EntryDeleted
from handlers.notifications.payloads import (
    Notification,
    NotificationsErased,
    NotificationsRead,
)
from server.payload import Payload

Value = TypeVar("Value", bound=Payload)


@dataclass(frozen=True, slots=True)
class Gone:
    """Somebody who is erased, what they are called now, and the chat that others know them by."""

    user_id: int
    name: str
    chat_id: int | None = None

    @property
    def subjects(self) -> dict[str, int]:
        """By what the data of others' notifications names them."""
        named = {"patient_id": self.user_id, "psychologist_id": self.user_id}
        return named if self.chat_id is None else {**named, "chat_id": self.chat_id}


def redact(value: Value, gone: Gone) -> Value:
    """The value without them; the same one where it does not tell of them."""
    rule = RULES.get(type(value))
    redacted: Value = rule(value, gone) if rule else value
    return redacted


def _redact_person(person: Person, gone: Gone) -> Person:
    if person.id != gone.user_id:
        return person
    return person.model_copy(update={"name": gone.name, "avatar_url": None})


def _redact_relation(relation: Relation, gone: Gone) -> Relation:
    return relation.model_copy(
        update={
            "psychologist": redact(relation.psychologist, gone),
            "patient": redact(relation.patient, gone),
        }
    )


def _redact_chat(chat: Chat, gone: Gone) -> Chat:
    """What was unread were their messages."""
    if gone.user_id not in (chat.psychologist.id, chat.patient.id):
        return chat
    last = chat.last_message
    return chat.model_copy(
        update={
            "psychologist": redact(chat.psychologist, gone),
            "patient": redact(chat.patient, gone),
            "last_message": None if last is None else redact(last, gone),
            "unread": 0,
        }
    )


def _redact_message(message: Message, gone: Gone) -> Message:
    if message.sender_id != gone.user_id:
        return message
    return message.model_copy(update={"text": "", "attachments": [], "deleted": True})


def _redact_marker(moved: MarkerMoved, gone: Gone) -> MarkerMoved:
    if moved.chat_id != gone.chat_id or moved.unread is None:
        return moved
    return moved.model_copy(update={"unread": 0})


def _redact_condition(condition: Condition, gone: Gone) -> Condition:
    if condition.patient_id != gone.user_id:
        return condition
    return Condition(
        patient_id=condition.patient_id, last_mood=None, last_results=[], open_alerts=0
    )


def _redact_result(result: Result, gone: Gone) -> Result:
    if result.user_id != gone.user_id:
        return result
    return result.model_copy(
        update={
            "total": 0,
            "severity": None,
            "scales": [],
            "breakdown": [],
            "complete": False,
            "prorated": False,
            "flags": [],
        }
    )


def _redact_alert(alert: Alert, gone: Gone) -> Alert:
    if alert.patient.id == gone.user_id:
        patient = redact(alert.patient, gone)
        return alert.model_copy(
            update={"patient": patient, "question_code": "", "score": 0, "note": None}
        )
    if gone.user_id in (alert.acknowledged_by, alert.resolved_by):
        return alert.model_copy(update={"note": None})
    return alert


def _redact_entry(entry: Entry, gone: Gone) -> Entry:
    """Its moment is that of its writing; the zone was where the person lived."""
    if entry.user_id != gone.user_id:
        return entry
    return entry.model_copy(
        update={
            "score": 0,
            "note": None,
            "tags": [],
            "activities": [],
            "at": entry.created_at,
            "time_zone": "UTC",
            "local_date": entry.created_at.date(),
        }
    )


def _redact_notification(note: Notification, gone: Gone) -> Notification:
    if not is_about(note.data, gone):
        return note
    return note.model_copy(update={"title": gone.name})


def is_about(data: dict[str, Any], gone: Gone) -> bool:
    """Whether a notification with this data has their name for its title."""
    return any(data.get(key) == value for key, value in gone.subjects.items())


RULES: dict[type[Payload], Callable[[Any, Gone], Any]] = {
    Person: _redact_person,
    Relation: _redact_relation,
    Chat: _redact_chat,
    Message: _redact_message,
    MarkerMoved: _redact_marker,
    Condition: _redact_condition,
    Result: _redact_result,
    Alert: _redact_alert,
    Entry: _redact_entry,
    Notification: _redact_notification,
}

NUMBERS: frozenset[type[Payload]] = frozenset(
    {AlertsErased, ChatErased, EntryDeleted, NotificationsErased, NotificationsRead}
)
"""What others are told that has nothing of a person in it but numbers."""

OWN: frozenset[type[Payload]] = frozenset(
    {
        Achievement,
        AchievementsProgressed,
        Draft,
        Export,
        Goal,
        GoalDeleted,
        ReminderDue,
        Settings,
        SplitEnded,
        StageSuggested,
        User,
    }
)
"""What people are told of themselves alone: it goes with their log."""

"""What becomes of values that tell of somebody who is erased."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from handlers.accounts.person import Person
from handlers.assessments.payloads import Alert
from handlers.care.payloads import Relation
from handlers.chat.payloads import Chat, MarkerMoved, Message
from handlers.leaving.redaction import Gone, redact
from handlers.leaving.steps import Leaver
from handlers.leaving.trail import replace, rewrite
from handlers.mood.payloads import Entry
from handlers.notifications.payloads import Notification
from server.payload import Payload
from storage.assessments import AlertStatus
from storage.audit import AuditEntry
from storage.care import RelationStatus
from storage.chat import ChatStatus

LEAVER, OTHER, THIRD = 7_000_001, 7_000_002, 7_000_003
CHAT = 12
WORD = "planted"
GONE = Gone(LEAVER, "Deleted user", CHAT)
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)

people = st.sampled_from([LEAVER, OTHER, THIRD])
moments = st.none() | st.just(NOW)


def say(user_id: int | None) -> str:
    """What somebody has said, or is called: the leaver's words are planted."""
    return WORD if user_id == LEAVER else "mine"


persons = people.map(lambda one: Person(id=one, name=say(one), avatar_url=say(one)))


@st.composite
def messages(draw: st.DrawFn, writers: Sequence[int] = (LEAVER, OTHER, THIRD)) -> Message:
    sender_id = draw(st.sampled_from(writers))
    return Message(
        chat_id=CHAT,
        seq=draw(st.integers(1, 9)),
        sender_id=sender_id,
        client_ref=UUID(int=1),
        text=say(sender_id),
        attachments=[],
        created_at=NOW,
        delivered_at=draw(moments),
        read_at=draw(moments),
        edited_at=draw(moments),
        deleted=draw(st.booleans()),
    )


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    psychologist, patient = draw(persons), draw(persons)
    return Chat(
        id=CHAT,
        psychologist=psychologist,
        patient=patient,
        status=draw(st.sampled_from(ChatStatus)),
        last_seq=9,
        last_message=draw(st.none() | messages([psychologist.id, patient.id])),
        read_seq=3,
        unread=draw(st.integers(0, 5)),
        created_at=NOW,
    )


@st.composite
def relations(draw: st.DrawFn) -> Relation:
    return Relation(
        psychologist=draw(persons),
        patient=draw(persons),
        status=draw(st.sampled_from(RelationStatus)),
        since=draw(moments),
        until=draw(moments),
    )


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    patient, acknowledged_by = draw(persons), draw(st.none() | people)
    return Alert(
        id=1,
        patient=patient,
        result_id=2,
        test_id=3,
        code="phq-9",
        question_code=say(patient.id),
        score=1,
        status=draw(st.sampled_from(AlertStatus)),
        raised_at=NOW,
        escalated_at=None,
        acknowledged_at=draw(moments),
        acknowledged_by=acknowledged_by,
        resolved_at=None,
        resolved_by=None,
        note=say(acknowledged_by),
    )


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    user_id = draw(people)
    return Entry(
        id=1,
        user_id=user_id,
        score=draw(st.integers(1, 10)),
        note=say(user_id),
        tags=[say(user_id)],
        activities=[say(user_id)],
        at=NOW,
        time_zone=say(user_id),
        local_date=date(2026, 11, 20),
        created_at=NOW,
        updated_at=draw(moments),
    )


@st.composite
def notifications(draw: st.DrawFn) -> Notification:
    key = draw(st.sampled_from(["chat_id", "patient_id", "psychologist_id"]))
    value = draw(st.sampled_from([CHAT, 13]) if key == "chat_id" else people)
    is_theirs = value in (CHAT, LEAVER)
    return Notification(
        id=1,
        type="message",
        title=WORD if is_theirs else "mine",
        text="You have new messages.",
        link="/",
        data={key: value},
        created_at=NOW,
        read_at=None,
    )


values = st.one_of(persons, messages(), chats(), relations(), alerts(), entries(), notifications())


@given(values)
def test_nothing_of_them_is_left_and_it_is_what_it_was(value: Payload) -> None:
    redacted = redact(value, GONE)
    text = redacted.model_dump_json()
    assert WORD not in text
    assert type(value).model_validate_json(text) == redacted
    assert redact(redacted, GONE) == redacted


@given(values)
def test_what_does_not_tell_of_them_stays_as_it_is(value: Payload) -> None:
    if WORD not in value.model_dump_json() and not isinstance(value, Chat):
        assert redact(value, Gone(LEAVER, "Deleted user")) == value
    stranger = Gone(999, "Deleted user")
    assert redact(value, stranger) is value or redact(value, stranger) == value


@given(st.none() | st.integers(0, 9), st.sampled_from([CHAT, 13]))
def test_nothing_is_unread_in_their_chat(unread: int | None, chat_id: int) -> None:
    moved = MarkerMoved(chat_id=chat_id, user_id=OTHER, seq=1, at=NOW, unread=unread)
    after = redact(moved, GONE)
    assert after.unread == (0 if chat_id == CHAT and unread is not None else unread)


details = st.fixed_dictionaries(
    {},
    optional={
        "patient_ids": st.lists(people),
        "psychologist_id": people,
        "role": st.just("patient"),
        "session_id": people,
        "key_id": st.just(WORD),
    },
)


@given(st.none() | people, st.none() | people, details)
def test_the_trail_keeps_what_was_done_and_not_by_whom(
    actor_id: int | None, subject_id: int | None, detail: dict[str, Any]
) -> None:
    leaver = Leaver(LEAVER, -5, "Deleted user", None, 1)
    row = AuditEntry(id=1, actor_id=actor_id, subject_id=subject_id, address=WORD, detail=detail)
    after = rewrite(row, leaver)
    assert str(LEAVER) not in str(after)
    assert "key_id" not in after["detail"]
    assert (after["address"] is None) == (actor_id in (None, LEAVER))
    for before, now in ((actor_id, after["actor_id"]), (subject_id, after["subject_id"])):
        assert now == (-5 if before == LEAVER else before)
    ids = replace(detail, leaver).get("patient_ids", [])
    assert ids == [-5 if one == LEAVER else one for one in detail.get("patient_ids", [])]

"""What is written by hand, because there is so much of it, is what its model would be."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from handlers.chat.payloads import Message, SendMessage

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200).filter(str.strip)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - it gets its zone


@given(text=TEXTS, ref=st.uuids(), now=MOMENTS, seq=st.integers(1, 2**53 - 1))
def test_a_new_message(text: str, ref: UUID, now: datetime, seq: int) -> None:
    before, after = Message.write_new(SendMessage(chat_id=7, client_ref=ref, text=text), 5, now)

    assert (
        f"{before}{seq}{after}"
        == Message(
            chat_id=7,
            seq=seq,
            sender_id=5,
            client_ref=ref,
            text=text,
            attachments=[],
            created_at=now,
            delivered_at=None,
            read_at=None,
            edited_at=None,
            deleted=False,
        ).as_json
    )

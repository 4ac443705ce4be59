"""How a device keeps its state: lists at the start, then nothing but pushes."""

from collections.abc import Iterable
from typing import Any

from tests.faults.record import Fact, Held, State

MARKERS = ("message:delivered", "message:read")


def read_fact(event: str, data: dict[str, Any]) -> Fact:
    """What matters of a push; the log's and a socket's are alike."""
    if event.startswith("chat:"):
        return Fact(event, data["id"], 0, 0)
    if event in MARKERS:
        return Fact(event, data["chat_id"], data["seq"], data["user_id"], unread=data["unread"])
    if event.startswith("message:"):
        return Fact(event, data["chat_id"], data["seq"], data["sender_id"], data["text"])
    if event == "notification:read":
        return Fact(event, 0, 0, 0, ",".join(map(str, data["notification_ids"])))
    return Fact(event, 0, data["id"], 0, data["text"])


def fold(state: State, event: str, data: dict[str, Any]) -> None:
    """Bring the state up to date with one push; again with the same one changes nothing."""
    if event in MARKERS:
        place = (data["chat_id"], data["user_id"])
        _raise(state.delivered, place, data["seq"])
        if event == "message:read":
            _raise(state.read, place, data["seq"])
    elif event.startswith("message:"):
        put_message(state, data)
        if event == "message:created":
            # Who sends has read everything before.
            place = (data["chat_id"], data["sender_id"])
            _raise(state.delivered, place, data["seq"])
            _raise(state.read, place, data["seq"])
    elif event == "notification:read":
        state.notes.update(dict.fromkeys(data["notification_ids"], True))
    elif event.startswith("notification:"):
        state.notes[data["id"]] = data["read_at"] is not None


def put_message(state: State, message: dict[str, Any]) -> None:
    state.messages.setdefault(message["chat_id"], {})[message["seq"]] = Held(
        message["sender_id"],
        message["client_ref"],
        message["text"],
        message["edited_at"] is not None,
        message["deleted"],
    )


def put_chat(state: State, chat: dict[str, Any], history: Iterable[dict[str, Any]]) -> None:
    """A chat as a list shows it: of the other person's markers one sees what they have reached."""
    people = {chat["psychologist"]["id"], chat["patient"]["id"]}
    state.messages.setdefault(chat["id"], {})
    for message in history:
        put_message(state, message)
        (other,) = people - {message["sender_id"]}
        place = (chat["id"], other)
        if message["delivered_at"] is not None:
            _raise(state.delivered, place, message["seq"])
        if message["read_at"] is not None:
            _raise(state.read, place, message["seq"])


def reached(state: State) -> dict[tuple[str, int, int], int]:
    """Per kind, chat and person the last message of the other that was reached.

    So markers can be compared however somebody came to know of them.
    """
    places: dict[tuple[str, int, int], int] = {}
    for kind, markers in (("delivered", state.delivered), ("read", state.read)):
        for (chat_id, user_id), marker in markers.items():
            messages = state.messages.get(chat_id, {})
            seq = next(
                (
                    n
                    for n in range(marker, 0, -1)
                    if n in messages and messages[n].sender_id != user_id
                ),
                0,
            )
            if seq:
                places[kind, chat_id, user_id] = seq
    return places


def _raise(markers: dict[tuple[int, int], int], place: tuple[int, int], seq: int) -> None:
    markers[place] = max(seq, markers.get(place, 0))

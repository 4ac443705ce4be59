"""What a client does: keep a snapshot up to date with nothing but what it is told.

Pure functions, written from the wire alone.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any

from tests.client import Told

Snapshot = dict[str, Any]
CONDITION = ("last_mood", "last_results", "open_alerts")
Fold = Callable[[Snapshot, Told, int], None]


def fold(snapshot: Snapshot, told: Sequence[Told], me: int) -> Snapshot:
    """The snapshot after these pushes, as this person sees it."""
    after = deepcopy(snapshot)
    for one in told:
        FOLDS[one.event](after, one, me)
    return after


def chats_snapshot(listed: Any, histories: dict[int, list[Any]]) -> Snapshot:
    """From `chat:list` and every `message:history`."""
    chats = {chat["id"]: chat for chat in listed["items"]}
    assert len(chats) == listed["total"], "the snapshot must be whole"
    messages = {
        chat_id: {item["seq"]: item for item in items} for chat_id, items in histories.items()
    }
    return {"chats": chats, "order": [*chats], "messages": messages}


def relations_snapshot(listed: Any) -> Snapshot:
    """From `relation:list`."""
    assert len(listed["items"]) == listed["total"], "the snapshot must be whole"
    return {"relations": listed["items"]}


def patients_snapshot(listed: Any) -> Snapshot:
    """From `patient:list`, of what /care tells."""
    assert len(listed["items"]) == listed["total"], "the snapshot must be whole"
    return {
        "patients": {
            item["patient"]["id"]: {key: item[key] for key in ("patient", "since", *CONDITION)}
            for item in listed["items"]
        }
    }


def stats_snapshot(stats: Any) -> Snapshot:
    """From `patient:stats`; when somebody was seen last is told as their presence."""
    stats = deepcopy(stats)
    stats["activity"].pop("last_seen_at")
    return {"stats": stats}


def feed_snapshot(listed: Any, unread: Any) -> Snapshot:
    """From `notification:list` and `unread:get`."""
    assert len(listed["items"]) == listed["total"], "the snapshot must be whole"
    return {"notifications": listed["items"], "total": unread["total"]}


def account_snapshot(profile: Any, settings: Any, exports: Any) -> Snapshot:
    """From `profile:get`, `settings:get` and `export:list`."""
    return {"profile": profile, "settings": settings, **exports_snapshot(exports)}


def exports_snapshot(listed: Any) -> Snapshot:
    """From `export:list`."""
    assert len(listed["items"]) == listed["total"], "the snapshot must be whole"
    return {"exports": listed["items"]}


def diary_snapshot(listed: Any) -> Snapshot:
    """From `entry:list`."""
    assert len(listed["items"]) == listed["total"], "the snapshot must be whole"
    return {"entries": listed["items"]}


def goals_snapshot(listed: Any, archived: Any, achievements: Any) -> Snapshot:
    """From `goal:list`, `goal:list_archived` and `achievement:list`."""
    goals = {goal["id"]: goal for goal in (*listed["items"], *archived["items"])}
    assert len(goals) == listed["total"] + archived["total"], "the snapshot must be whole"
    return {
        "goals": goals,
        "order": [goal["id"] for goal in listed["items"]],
        "archive": [goal["id"] for goal in archived["items"]],
        "achievements": achievements["items"],
    }


def _put_chat(snapshot: Snapshot, told: Told, me: int) -> None:
    chat = told.data
    snapshot["chats"][chat["id"]] = deepcopy(chat)
    snapshot["messages"].setdefault(chat["id"], {})
    _sort(snapshot)


def _put_message(snapshot: Snapshot, told: Told, me: int) -> None:
    """A new message moves its sender's markers to itself."""
    message = deepcopy(told.data)
    chat_id, seq, sender_id = message["chat_id"], message["seq"], message["sender_id"]
    chat = snapshot["chats"][chat_id]
    assert seq == chat["last_seq"] + 1, "messages come in order, without a gap"
    snapshot["messages"][chat_id][seq] = message
    chat["last_seq"] = seq
    _reach(snapshot, chat_id, sender_id, seq, message["created_at"], ("delivered_at", "read_at"))
    if sender_id == me:
        chat["read_seq"] = seq
    _settle(snapshot, chat_id, me)
    _sort(snapshot)


def _replace_message(snapshot: Snapshot, told: Told, me: int) -> None:
    message = deepcopy(told.data)
    chat_id, seq = message["chat_id"], message["seq"]
    was = snapshot["messages"][chat_id][seq]
    for key in ("delivered_at", "read_at", "created_at", "client_ref"):
        assert message[key] == was[key], f"{key} changes with other events only"
    snapshot["messages"][chat_id][seq] = message
    _settle(snapshot, chat_id, me)


def _empty_messages(snapshot: Snapshot, told: Told, me: int) -> None:
    """Of whoever is erased; it stands for as many deletions."""
    chat_id, user_id = told.data["chat_id"], told.data["user_id"]
    for message in snapshot["messages"][chat_id].values():
        if message["sender_id"] == user_id:
            message |= {"text": "", "attachments": [], "deleted": True}
    _settle(snapshot, chat_id, me)


def _deliver(snapshot: Snapshot, told: Told, me: int) -> None:
    move = told.data
    _reach(snapshot, move["chat_id"], move["user_id"], move["seq"], move["at"], ("delivered_at",))
    _settle(snapshot, move["chat_id"], me)
    _compare_unread(snapshot, move, me)


def _read(snapshot: Snapshot, told: Told, me: int) -> None:
    """Who has read a message has got it."""
    move = told.data
    chat_id, seq, at = move["chat_id"], move["seq"], move["at"]
    _reach(snapshot, chat_id, move["user_id"], seq, at, ("delivered_at", "read_at"))
    if move["user_id"] == me:
        assert seq > snapshot["chats"][chat_id]["read_seq"], "markers never move back"
        snapshot["chats"][chat_id]["read_seq"] = seq
    _settle(snapshot, chat_id, me)
    _compare_unread(snapshot, move, me)


def _reach(
    snapshot: Snapshot, chat_id: int, reader: int, seq: int, at: str, keys: Sequence[str]
) -> None:
    """The other person's messages up to `seq` are reached now, unless they were before."""
    for message in snapshot["messages"][chat_id].values():
        if message["sender_id"] != reader and message["seq"] <= seq:
            for key in keys:
                message[key] = message[key] or at


def _settle(snapshot: Snapshot, chat_id: int, me: int) -> None:
    """What follows from the messages and one's own marker."""
    chat, messages = snapshot["chats"][chat_id], snapshot["messages"][chat_id]
    chat["last_message"] = deepcopy(messages.get(chat["last_seq"]))
    chat["unread"] = sum(
        message["sender_id"] != me and seq > chat["read_seq"] and not message["deleted"]
        for seq, message in messages.items()
    )


def _compare_unread(snapshot: Snapshot, move: Any, me: int) -> None:
    expected = snapshot["chats"][move["chat_id"]]["unread"] if move["user_id"] == me else None
    assert move["unread"] == expected


def _sort(snapshot: Snapshot) -> None:
    def last_at(chat: Any) -> tuple[datetime, int]:
        at = (chat["last_message"] or chat)["created_at"]
        return datetime.fromisoformat(at), chat["id"]

    ordered = sorted(snapshot["chats"].values(), key=last_at, reverse=True)
    snapshot["order"] = [chat["id"] for chat in ordered]


def _put_relation(snapshot: Snapshot, told: Told, me: int) -> None:
    """A relation is its pair; a new invitation brings it to the top."""
    relations, new = snapshot["relations"], deepcopy(told.data)
    place = next((n for n, old in enumerate(relations) if _pair(old) == _pair(new)), None)
    if place is None or told.event == "relation:invited":
        snapshot["relations"] = [new, *(old for old in relations if _pair(old) != _pair(new))]
    else:
        relations[place] = new


def _change_patient(snapshot: Snapshot, told: Told, me: int) -> None:
    """Who accepts is a new patient, of whom nothing is known but what is told next."""
    if told.event == "patient:updated":
        patient = snapshot["patients"][told.data["patient_id"]]
        patient |= {key: told.data[key] for key in CONDITION}
    elif told.event == "relation:accepted":
        new = {"patient": told.data["patient"], "since": told.data["since"]}
        condition: Snapshot = {"last_mood": None, "last_results": [], "open_alerts": 0}
        snapshot["patients"][new["patient"]["id"]] = new | condition
    elif told.event == "relation:ended":
        # Told again of what is over already, when one of the two is erased.
        snapshot["patients"].pop(told.data["patient"]["id"], None)


def _change_days(stats: Snapshot, told: Told) -> None:
    """Days are told whole, and the period's figures are those of its days; here, it ends now."""
    new = {day["date"]: day for day in told.data["days"]}
    mood = stats["mood"]
    days = [day for day in mood["days"] if day["date"] not in new]
    days += [day for day in deepcopy([*new.values()]) if day["n"]]
    mood["days"] = days = sorted(days, key=lambda day: day["date"])
    n, score = sum(day["n"] for day in days), sum(round(day["mean"] * day["n"]) for day in days)
    mood |= {
        "n": n,
        "min": min((day["min"] for day in days), default=None),
        "max": max((day["max"] for day in days), default=None),
        "mean": score / n if n else None,
    }
    stats["activity"] |= {"entries": n, "days": len(days)}


def _add_result(snapshot: Snapshot, told: Told, me: int) -> None:
    """In short, as a psychologist has it."""
    stats, result = snapshot["stats"], told.data
    if result["user_id"] == stats["patient"]["id"]:
        kept = ("test_id", "code", "total", "flags", "created_at")
        severity = result["severity"]["code"] if result["severity"] else None
        short = {"result_id": result["id"], "severity": severity}
        stats["results"].append(short | {key: result[key] for key in kept})
        stats["activity"]["results"] += 1


def _change_care(snapshot: Snapshot, told: Told, me: int) -> None:
    """Of whatever is looked at in /care."""
    stats = snapshot.get("stats")
    if stats and told.data.get("patient_id") == stats["patient"]["id"]:
        _change_days(stats, told)
    if "relations" in snapshot and told.event != "patient:updated":
        _put_relation(snapshot, told, me)
    if "patients" in snapshot:
        _change_patient(snapshot, told, me)


def _pair(relation: Any) -> tuple[int, int]:
    return relation["psychologist"]["id"], relation["patient"]["id"]


def _put_notification(snapshot: Snapshot, told: Told, me: int) -> None:
    snapshot["notifications"].insert(0, deepcopy(told.data))
    snapshot["total"] += 1


def _replace_notification(snapshot: Snapshot, told: Told, me: int) -> None:
    notes = snapshot["notifications"]
    (place,) = [n for n, note in enumerate(notes) if note["id"] == told.data["id"]]
    notes[place] = told.data


def _read_notifications(snapshot: Snapshot, told: Told, me: int) -> None:
    ids = set(told.data["notification_ids"])
    for note in snapshot["notifications"]:
        if note["id"] in ids:
            assert note["read_at"] is None, "a notification is read once"
            note["read_at"] = told.meta["at"]
            snapshot["total"] -= 1
    assert told.data["total"] == snapshot["total"]


def _put_settings(snapshot: Snapshot, told: Told, me: int) -> None:
    snapshot["settings"] = deepcopy(told.data)


def _put_profile(snapshot: Snapshot, told: Told, me: int) -> None:
    snapshot["profile"] = deepcopy(told.data)


def _put_export(snapshot: Snapshot, told: Told, me: int) -> None:
    assert told.data["id"] not in {export["id"] for export in snapshot["exports"]}
    snapshot["exports"].insert(0, deepcopy(told.data))


def _rename_notifications(snapshot: Snapshot, told: Told, me: int) -> None:
    for note in snapshot["notifications"]:
        if note["id"] in told.data["notification_ids"]:
            note["title"] = told.data["title"]


def _put_entry(snapshot: Snapshot, told: Told, me: int) -> None:
    """The latest day comes first, and its latest moment."""

    def place(entry: Any) -> tuple[str, datetime, int]:
        return entry["local_date"], datetime.fromisoformat(entry["at"]), entry["id"]

    others = [entry for entry in snapshot["entries"] if entry["id"] != told.data["id"]]
    assert (len(others) == len(snapshot["entries"])) == (told.event == "entry:added")
    snapshot["entries"] = sorted([*others, deepcopy(told.data)], key=place, reverse=True)


def _remove_entry(snapshot: Snapshot, told: Told, me: int) -> None:
    (place,) = [
        n for n, entry in enumerate(snapshot["entries"]) if entry["id"] == told.data["entry_id"]
    ]
    del snapshot["entries"][place]


def _put_goal(snapshot: Snapshot, told: Told, me: int) -> None:
    snapshot["goals"][told.data["id"]] = deepcopy(told.data)
    _sort_goals(snapshot)


def _drop_goal(snapshot: Snapshot, told: Told, me: int) -> None:
    del snapshot["goals"][told.data["goal_id"]]
    _sort_goals(snapshot)


def _put_reminder(snapshot: Snapshot, told: Told, me: int) -> None:
    new = told.data["reminder"]
    goal = snapshot["goals"][new["goal_id"]]
    assert goal["title"] == told.data["title"]
    (place,) = [n for n, old in enumerate(goal["reminders"]) if old["id"] == new["id"]]
    goal["reminders"][place] = deepcopy(new)


def _put_suggestion(snapshot: Snapshot, told: Told, me: int) -> None:
    suggestions = snapshot["goals"][told.data["goal_id"]]["split"]["suggestions"]
    assert told.data["suggestion"]["id"] not in {one["id"] for one in suggestions}
    suggestions.append(deepcopy(told.data["suggestion"]))


def _end_split(snapshot: Snapshot, told: Told, me: int) -> None:
    goal, split = snapshot["goals"][told.data["goal_id"]], told.data["split"]
    assert goal["split"]["suggestions"] == split["suggestions"], "each was told before"
    goal["split"] = deepcopy(split)


def _sort_goals(snapshot: Snapshot) -> None:
    """Newest first, those in the archive apart."""
    goals = sorted(snapshot["goals"].values(), key=lambda goal: -goal["id"])
    snapshot["order"] = [goal["id"] for goal in goals if goal["archived_at"] is None]
    snapshot["archive"] = [goal["id"] for goal in goals if goal["archived_at"] is not None]


def _put_achievements(snapshot: Snapshot, told: Told, me: int) -> None:
    """One that was earned or revoked, or several that somebody has come nearer to."""
    new = {one["code"]: one for one in told.data.get("items", [told.data])}
    snapshot["achievements"] = [new.get(old["code"], old) for old in snapshot["achievements"]]


FOLDS: dict[str, Fold] = {
    "chat:opened": _put_chat,
    "chat:closed": _put_chat,
    "chat:erased": _empty_messages,
    "message:created": _put_message,
    "message:edited": _replace_message,
    "message:deleted": _replace_message,
    "message:delivered": _deliver,
    "message:read": _read,
    "profile:updated": _put_profile,
    "settings:updated": _put_settings,
    "export:ready": _put_export,
    "result:created": _add_result,
    "relation:invited": _change_care,
    "relation:accepted": _change_care,
    "relation:declined": _change_care,
    "relation:ended": _change_care,
    "patient:updated": _change_care,
    "goal:updated": _put_goal,
    "goal:deleted": _drop_goal,
    "reminder:due": _put_reminder,
    "stage:suggested": _put_suggestion,
    "ai:finished": _end_split,
    "ai:failed": _end_split,
    "achievement:earned": _put_achievements,
    "achievement:revoked": _put_achievements,
    "achievement:progressed": _put_achievements,
    "notification:created": _put_notification,
    "notification:updated": _replace_notification,
    "notification:read": _read_notifications,
    "notification:erased": _rename_notifications,
    "entry:added": _put_entry,
    "entry:updated": _put_entry,
    "entry:deleted": _remove_entry,
}

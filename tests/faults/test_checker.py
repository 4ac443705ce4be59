"""The checker finds what is broken: one planted bug in a healthy record for each promise."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any
from uuid import UUID

import pytest

from tests.faults.checker import check
from tests.faults.folding import fold, read_fact
from tests.faults.record import (
    CHAT,
    FEED,
    OK,
    SILENT,
    Attempt,
    Counts,
    Database,
    DeviceRecord,
    Fact,
    Line,
    Member,
    Operation,
    Row,
    Run,
    Seen,
    State,
)

ANNA, BORIS, TALK = 1, 2, 7
AT = "2026-01-01T00:00:00Z"
Story = list[tuple[str, str, int, dict[str, Any]]]
"""namespace, event, whose stream (0: both), data."""


def message(seq: int, sender: int, text: str = "", **more: Any) -> dict[str, Any]:
    ref = str(UUID(int=seq))
    whole = {
        "chat_id": TALK,
        "seq": seq,
        "sender_id": sender,
        "client_ref": ref,
        "text": f"{ref} {text}" if text else "",
        "edited_at": None,
        "deleted": False,
    }
    return whole | more


def marker(seq: int, user_id: int, unread: int = 0) -> dict[str, Any]:
    return {"chat_id": TALK, "seq": seq, "user_id": user_id, "unread": unread}


EDITED = message(3, ANNA, "better", edited_at=AT)
DELETED = message(4, BORIS, deleted=True)
STORY: Story = [
    (CHAT, "message:created", 0, message(1, ANNA, "Good morning")),
    (FEED, "notification:created", BORIS, {"id": 5, "text": "A message", "read_at": None}),
    (CHAT, "message:delivered", 0, marker(1, BORIS, 1)),
    (CHAT, "message:read", 0, marker(1, BORIS)),
    (FEED, "notification:read", BORIS, {"notification_ids": [5], "total": 0}),
    (CHAT, "message:created", 0, message(2, ANNA, "How are you?")),
    (CHAT, "message:created", 0, message(3, ANNA, "Well?")),
    (CHAT, "message:edited", 0, EDITED),
    (CHAT, "message:read", 0, marker(2, BORIS, 1)),
    (CHAT, "message:created", 0, message(4, BORIS, "Go away")),
    (CHAT, "message:deleted", 0, DELETED),
    (CHAT, "message:created", 0, message(5, BORIS, "Fine")),
]


def build_run() -> Run:
    """Two people with two devices each, who wrote to each other and lost nothing."""
    run = Run([], [], Database(), {}, {})
    for user_id in (ANNA, BORIS):
        story = [part for part in STORY if part[2] in (0, user_id)]
        for number in range(2):
            run.devices.append(follow(user_id, number, story))
        state = run.devices[-1].state
        run.fresh[user_id] = deepcopy(state)
        run.database.notes[user_id] = dict(state.notes)
        for seen in run.devices[-1].seen:
            stream = (user_id, seen.namespace)
            run.database.log.setdefault(stream, []).append((seen.seq, seen.fact))
            run.database.heads[stream] = (seen.seq, 0)
    run.database.messages = [
        Row(TALK, seq, held.sender_id, held.ref, held.text, held.edited, held.deleted)
        for seq, held in sorted(run.fresh[ANNA].messages[TALK].items())
    ]
    run.database.members = [Member(TALK, ANNA, 3, 3, 1), Member(TALK, BORIS, 5, 5, 0)]
    run.database.receipts = [(TALK, BORIS, "read", 1), (TALK, BORIS, "read", 2)]
    run.counts = {ANNA: Counts(1, {TALK: 1}, {TALK: 1}, 0), BORIS: Counts(0, {}, {TALK: 0}, 0)}
    run.operations = [
        operate("send", ANNA, 1, 10, text="Good morning"),
        operate("read", BORIS, 1, 11),
        operate("send", ANNA, 2, 12, text="How are you?"),
        operate("send", ANNA, 3, 14, text="Well?"),
        operate("edit", ANNA, 3, 16, text=EDITED["text"]),
        operate("read", BORIS, 2, 17),
        operate("send", BORIS, 4, 18, text="Go away"),
        operate("delete", BORIS, 4, 20),
        operate("send", BORIS, 5, 22, text="Fine"),
    ]
    return run


def follow(user_id: int, number: int, story: Story) -> DeviceRecord:
    device = DeviceRecord(f"u{user_id}/{number}", user_id, State())
    for namespace in (CHAT, FEED):
        device.lines.append(Line(namespace, 0, 0))
        device.cursors[namespace] = 0
    for namespace, event, _, data in story:
        device.cursors[namespace] += 1
        seq = device.cursors[namespace]
        device.seen.append(Seen(namespace, 0, seq, read_fact(event, data)))
        fold(device.state, event, data)
    return device


def operate(kind: str, person_id: int, seq: int, at: float, **payload: Any) -> Operation:
    ref = str(UUID(int=seq if kind == "send" else 100 * int(at)))
    if kind == "send":
        payload["text"] = f"{ref} {payload['text']}"
    payload |= {"client_ref": ref, "chat_id": TALK, "seq": seq}
    operation = Operation(f"message:{kind}", person_id, TALK, payload)
    operation.attempts.append(Attempt(at, f"u{person_id}/0#1", OK))
    operation.answer, operation.settled_at = {"seq": seq}, at + 0.5
    return operation


def find_push(device: DeviceRecord, event: str) -> int:
    return next(n for n, seen in enumerate(device.seen) if seen.fact.event == event)


def drop_push(run: Run) -> None:
    del run.devices[0].seen[2]


def repeat_push(run: Run) -> None:
    run.devices[0].seen.insert(1, run.devices[0].seen[0])


def swap_pushes(run: Run) -> None:
    seen = run.devices[0].seen
    place = find_push(run.devices[0], "message:edited")
    seen[place - 1], seen[place] = seen[place], seen[place - 1]


def miss_last_push(run: Run) -> None:
    run.devices[0].seen.pop()


def alter_push(run: Run) -> None:
    seen = run.devices[0].seen
    seen[0] = seen[0]._replace(fact=seen[0].fact._replace(text="something else"))


def lose_row(run: Run) -> None:
    operation = operate("send", ANNA, 6, 30, text="Hello?")
    run.operations.append(operation)


def lose_edit(run: Run) -> None:
    operation = operate("edit", ANNA, 2, 30, text="never written")
    run.operations.append(operation)


def lose_deletion(run: Run) -> None:
    run.operations.append(operate("delete", ANNA, 2, 30))


def lose_message_on_device(run: Run) -> None:
    del run.devices[2].state.messages[TALK][2]


def double_ref(run: Run) -> None:
    """A send that was repeated became two messages, and everybody was told so."""
    log = run.database.log
    for row in list(run.database.messages):
        if row.seq == 5:
            twin = row._replace(seq=6)
            run.database.messages.append(twin)
    for user_id in (ANNA, BORIS):
        head = run.database.heads[user_id, CHAT][0] + 1
        _, fact = log[user_id, CHAT][-1]
        told = fact._replace(number=6)
        log[user_id, CHAT].append((head, told))
        run.database.heads[user_id, CHAT] = (head, 0)
        for device in run.devices:
            if device.person_id == user_id:
                device.seen.append(Seen(CHAT, 0, head, told))
        for state in [
            run.fresh[user_id],
            *(d.state for d in run.devices if d.person_id == user_id),
        ]:
            state.messages[TALK][6] = state.messages[TALK][5]
            state.read[TALK, BORIS] = state.delivered[TALK, BORIS] = 6
    run.database.members = [Member(TALK, ANNA, 3, 3, 2), Member(TALK, BORIS, 6, 6, 0)]
    run.counts[ANNA] = Counts(2, {TALK: 2}, {TALK: 2}, 0)


def send_in_wrong_order(run: Run) -> None:
    second, third = run.operations[2], run.operations[3]
    second.attempts, third.attempts = third.attempts, second.attempts
    second.settled_at, third.settled_at = third.settled_at, second.settled_at


def burst_in_wrong_order(run: Run) -> None:
    """Both were under way at once, but on one connection."""
    second, third = run.operations[2], run.operations[3]
    second.attempts[0].at, third.attempts[0].at = 12.1, 12.0
    second.settled_at = third.settled_at = 14.5


def skip_chat_seq(run: Run) -> None:
    run.database.messages = [
        row._replace(chat_id=8, seq=row.seq + 1) for row in run.database.messages
    ]
    run.operations.clear()
    run.devices.clear()
    run.fresh.clear()
    run.counts.clear()
    run.database.log.clear()
    run.database.heads.clear()
    run.database.receipts.clear()
    run.database.members = [Member(8, ANNA, 6, 6, 0), Member(8, BORIS, 6, 6, 0)]


def skip_log_seq(run: Run) -> None:
    """A seq that was allotted and never written."""
    run.database.heads[ANNA, FEED] = (1, 0)
    for device in run.devices[:2]:
        device.lines = [
            Line(FEED, 0, 1) if line.namespace == FEED else line for line in device.lines
        ]


def alter_log(run: Run, event: str, alter: Callable[[Fact], Fact]) -> None:
    """Change the last push of this name, on every device as in the log."""
    for user_id in (ANNA, BORIS):
        entries = run.database.log[user_id, CHAT]
        place = max(n for n, (_, fact) in enumerate(entries) if fact.event == event)
        seq, fact = entries[place]
        entries[place] = (seq, alter(fact))
        for device in run.devices:
            if device.person_id == user_id:
                device.seen = [
                    one._replace(fact=alter(fact)) if one[:3:2] == (CHAT, seq) else one
                    for one in device.seen
                ]


def move_marker_back(run: Run) -> None:
    alter_log(run, "message:read", lambda fact: fact._replace(number=1, unread=2))


def answer_marker_back(run: Run) -> None:
    run.operations[5].answer = {"seq": 1}


def leave_marker_behind(run: Run) -> None:
    run.devices[1].state.read[TALK, BORIS] = 1


def leave_receipt_ahead(run: Run) -> None:
    run.database.receipts.append((TALK, ANNA, "read", 5))


def miscount_stored(run: Run) -> None:
    run.database.members[0] = run.database.members[0]._replace(unread=2)


def miscount_answer(run: Run) -> None:
    run.counts[ANNA] = run.counts[ANNA]._replace(total=0, chats={})


def miscount_list(run: Run) -> None:
    run.counts[BORIS] = run.counts[BORIS]._replace(listed={TALK: 1})


def miscount_notes(run: Run) -> None:
    run.counts[BORIS] = run.counts[BORIS]._replace(notes=1)


def miscount_push(run: Run) -> None:
    alter_log(run, "message:read", lambda fact: fact._replace(unread=5))


def leave_device_behind(run: Run) -> None:
    run.devices[0].state.messages[TALK][3].text = "Well?"


def leave_feed_unread(run: Run) -> None:
    run.devices[2].state.notes[5] = False


def show_newcomers_another_past(run: Run) -> None:
    run.fresh[BORIS].messages[TALK][4].deleted = False


def show_what_is_not(run: Run) -> None:
    run.devices[3].state.messages[TALK][9] = run.devices[3].state.messages[TALK][1]


def tell_nobody(run: Run) -> None:
    """A message that is there, and on devices, but in nobody's stream."""
    for user_id in (ANNA, BORIS):
        seq, _ = run.database.log[user_id, CHAT].pop()
        run.database.heads[user_id, CHAT] = (seq - 1, 0)
        for device in run.devices:
            device.seen = [
                one
                for one in device.seen
                if (device.person_id, one.namespace, one.seq) != (user_id, CHAT, seq)
            ]


def tell_twice(run: Run) -> None:
    for user_id in (ANNA, BORIS):
        seq, fact = run.database.log[user_id, CHAT][-1]
        run.database.log[user_id, CHAT].append((seq + 1, fact))
        run.database.heads[user_id, CHAT] = (seq + 1, 0)
        for device in run.devices:
            if device.person_id == user_id:
                device.seen.append(Seen(CHAT, 0, seq + 1, fact))


def refuse(run: Run) -> None:
    operation = run.operations[7]
    operation.answer, operation.attempts[0].outcome = None, "conflict"


def fail(run: Run) -> None:
    run.operations[0].attempts.insert(0, Attempt(9.0, "u1/0#1", "internal"))


def stay_silent(run: Run) -> None:
    run.operations[0].attempts.insert(0, Attempt(9.0, "u1/0#1", SILENT))


PLANTED: list[tuple[Callable[[Run], None], str]] = [
    (drop_push, "lost"),
    (miss_last_push, "lost"),
    (lose_row, "lost"),
    (lose_edit, "lost"),
    (lose_deletion, "lost"),
    (lose_message_on_device, "lost"),
    (tell_nobody, "lost"),
    (repeat_push, "duplicated"),
    (double_ref, "duplicated"),
    (tell_twice, "duplicated"),
    (swap_pushes, "out of order"),
    (send_in_wrong_order, "out of order"),
    (burst_in_wrong_order, "out of order"),
    (skip_chat_seq, "out of order"),
    (skip_log_seq, "out of order"),
    (move_marker_back, "receipts"),
    (answer_marker_back, "receipts"),
    (leave_marker_behind, "receipts"),
    (leave_receipt_ahead, "receipts"),
    (miscount_stored, "counters"),
    (miscount_answer, "counters"),
    (miscount_list, "counters"),
    (miscount_notes, "counters"),
    (miscount_push, "counters"),
    (alter_push, "devices"),
    (leave_device_behind, "devices"),
    (leave_feed_unread, "devices"),
    (show_newcomers_another_past, "devices"),
    (show_what_is_not, "devices"),
    (refuse, "refused"),
    (fail, "refused"),
    (stay_silent, "unanswered"),
]


def test_a_healthy_record_has_no_findings() -> None:
    assert check(build_run()) == []


@pytest.mark.parametrize(("plant", "kind"), PLANTED, ids=lambda part: getattr(part, "__name__", ""))
def test_a_planted_bug_is_found(plant: Callable[[Run], None], kind: str) -> None:
    run = build_run()
    plant(run)
    assert {finding.kind for finding in check(run)} == {kind}

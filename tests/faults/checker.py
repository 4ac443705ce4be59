"""The promises, one function each: pure, from what a run left behind to what it broke."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from tests.faults.folding import MARKERS, reached
from tests.faults.record import (
    CHAT,
    FEED,
    OK,
    DeviceRecord,
    Finding,
    Held,
    Line,
    Operation,
    Run,
    Seen,
    State,
)

LISTED = 5
"""Of one kind and place, so that others are seen beside them."""

MUTATIONS = ("message:send", "message:edit", "message:delete")


def check(run: Run) -> list[Finding]:
    return [finding for promise in PROMISES for finding in promise(run)]


def check_acknowledged(run: Run) -> Iterator[Finding]:
    """What was acknowledged is in the database."""
    places = {(row.chat_id, row.seq): row for row in run.database.messages}
    edits: dict[tuple[int, int], Operation] = {}
    for operation in _acknowledged(run):
        answer = operation.answer or {}
        row = places.get((operation.chat_id, answer["seq"]))
        if operation.event == "message:send":
            if row is None or (row.sender_id, row.ref) != (operation.person_id, operation.ref):
                yield _lost(operation, "is not in the database where the answer says")
        elif operation.event == "message:delete" and (row is None or not row.deleted):
            yield _lost(operation, "but the message is there")
        elif operation.event == "message:edit":
            edits[operation.chat_id, answer["seq"]] = operation
    for place, operation in edits.items():
        row = places.get(place)
        if row is None or not (row.deleted or row.text == operation.payload["text"]):
            yield _lost(operation, "but the message has another text")


def check_logged(run: Run) -> Iterator[Finding]:
    """What was acknowledged stands in the event log of both people."""
    logged = {
        (user_id, fact.event, fact.chat_id, fact.number, fact.text)
        for (user_id, namespace), entries in run.database.log.items()
        if namespace == CHAT
        for _, fact in entries
    }
    told = {"send": "created", "edit": "edited", "delete": "deleted"}
    members = run.members
    for operation in _acknowledged(run):
        event = f"message:{told[operation.event.partition(':')[2]]}"
        seq, text = (operation.answer or {})["seq"], operation.payload.get("text", "")
        for user_id in members.get(operation.chat_id, ()):
            if (user_id, event, operation.chat_id, seq, text) not in logged:
                yield _lost(operation, f"and user {user_id} is never told of it")


def check_arrived(run: Run) -> Iterator[Finding]:
    """Every device saw every push from where it began, in order, once, as the log has it."""
    for device in run.devices:
        by_line: dict[tuple[str, int], list[Seen]] = defaultdict(list)
        for seen in device.seen:
            by_line[seen.namespace, seen.line].append(seen)
        last = {line.namespace: line for line in device.lines}
        for line in device.lines:
            is_last = line == last[line.namespace]
            yield from _check_line(run, device, line, by_line[line[:2]], is_last=is_last)


def _check_line(
    run: Run, device: DeviceRecord, line: Line, pushes: list[Seen], *, is_last: bool
) -> Iterator[Finding]:
    stream = (device.person_id, line.namespace)
    log = dict(run.database.log.get(stream, ()))
    where = f"{device.name} {line.namespace} line {line.line}"
    for seq, count in Counter(seen.seq for seen in pushes).items():
        if count > 1:
            yield Finding("duplicated", f"{where}: push {seq} came {count} times")
    for one, two in pairwise(pushes):
        if two.seq < one.seq:
            text = f"{where}: push {two.seq} came after {one.seq}"
            yield Finding("out of order", text, two.at)
    for seen in pushes:
        if log.get(seen.seq) != seen.fact:
            text = f"{where}: push {seen.seq} is {seen.fact}, not {log.get(seen.seq)}"
            yield Finding("devices", text)
    # An earlier line ended somewhere, the last one ends where the stream does.
    end = max((seen.seq for seen in pushes), default=line.start)
    if is_last:
        end = max(end, run.database.heads.get(stream, (0, 0))[0])
    missing = sorted(set(range(line.start + 1, end + 1)) - {seen.seq for seen in pushes})
    for seq in missing[:LISTED]:
        # It was missed shortly before whatever came next.
        at = next((seen.at for seen in pushes if seen.seq > seq), None)
        text = f"{where}: push {seq} of {end} never came, of {len(missing)} such"
        yield Finding("lost", text, at)


def check_rows(run: Run) -> Iterator[Finding]:
    """One row for each ref and each text; seqs without a gap, in chats and in the log."""
    refs = Counter((row.sender_id, row.ref) for row in run.database.messages)
    # A text says which send or edit it is of: the same one twice is one message twice.
    texts = Counter(row.text for row in run.database.messages if not row.deleted)
    for what, counts in (("ref", refs), ("text", texts)):
        for value, count in counts.items():
            if count > 1:
                yield Finding("duplicated", f"{count} messages have the {what} {str(value)[:60]}")
    seqs = defaultdict(list)
    for row in run.database.messages:
        seqs[row.chat_id].append(row.seq)
    for chat_id, found in seqs.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            yield Finding("out of order", f"chat {chat_id} does not count from 1 to {len(found)}")
    for (user_id, namespace), (head, floor) in run.database.heads.items():
        if (user_id, namespace) not in run.database.log and namespace not in (CHAT, FEED):
            continue
        entries = [seq for seq, _ in run.database.log.get((user_id, namespace), ())]
        if entries != list(range(floor + 1, head + 1)):
            yield Finding("out of order", f"the log of user {user_id} in {namespace} has a gap")


def check_sends_once(run: Run) -> Iterator[Finding]:
    """A send is told once to each person, however often it was repeated."""
    for (user_id, namespace), entries in run.database.log.items():
        if namespace == CHAT:
            texts = Counter(fact.text for _, fact in entries if fact.event == "message:created")
            for text, count in texts.items():
                if count > 1:
                    yield Finding(
                        "duplicated", f"user {user_id} is told {count} times of {str(text)[:36]}"
                    )


def check_order(run: Run) -> Iterator[Finding]:
    """What a person sent in a chat one after another has rising seqs."""
    sends = defaultdict(list)
    for operation in _acknowledged(run):
        if operation.event == "message:send":
            sends[operation.person_id, operation.chat_id].append(operation)
    for operations in sends.values():
        operations.sort(key=lambda operation: operation.first_at)
        for one, two in pairwise(operations):
            if _came_before(one, two) and (one.answer or {})["seq"] >= (two.answer or {})["seq"]:
                text = f"{two.ref} was sent after {one.ref}, and stands before it"
                yield Finding("out of order", text, two.first_at)


def _came_before(one: Operation, two: Operation) -> bool:
    """Whether nothing but the order of their emission can decide the order of these two."""
    if one.settled_at is not None and one.settled_at <= two.first_at:
        return True
    first, second = one.attempts[0], two.attempts[0]
    return first.connection == second.connection and first.outcome == second.outcome == OK


def check_markers(run: Run) -> Iterator[Finding]:
    """Markers never move back: not for devices, not in answers; and they end where the rows do."""
    for device in run.devices:
        markers: dict[tuple[int, str, int, int], int] = {}
        for seen in device.seen:
            fact = seen.fact
            if fact.event in MARKERS:
                key = (seen.line, fact.event, fact.chat_id, fact.user_id)
                if fact.number <= markers.get(key, 0):
                    yield Finding("receipts", f"{device.name}: {fact} after {markers[key]}")
                markers[key] = fact.number
    answered: dict[tuple[str, int, int], int] = {}
    for operation in run.operations:
        if operation.event in MARKERS and operation.answer is not None:
            key2 = (operation.event, operation.person_id, operation.chat_id)
            seq = operation.answer["seq"]
            if seq < max(answered.get(key2, 0), operation.payload["seq"]):
                text = f"{operation.event} {operation.ref} was answered {seq}, less than before"
                yield Finding("receipts", text, operation.first_at)
            answered[key2] = max(seq, answered.get(key2, 0))
    ends = {(m.chat_id, m.user_id): m for m in run.database.members}
    for chat_id, user_id, kind, seq in run.database.receipts:
        member = ends[chat_id, user_id]
        if seq > (member.read_seq if kind == "read" else member.delivered_seq):
            yield Finding("receipts", f"a receipt {kind} {seq} is beyond {member}")


def check_counters(run: Run) -> Iterator[Finding]:
    """The stored counters and every answer equal a recount of the rows."""
    unread: dict[int, dict[int, int]] = defaultdict(dict)
    for member in run.database.members:
        count = sum(
            row.chat_id == member.chat_id
            and row.sender_id != member.user_id
            and row.seq > member.read_seq
            and not row.deleted
            for row in run.database.messages
        )
        unread[member.user_id][member.chat_id] = count
        if member.unread != count:
            yield Finding("counters", f"{member} is stored, {count} are unread")
    for user_id, counts in run.counts.items():
        expected = unread[user_id]
        some = {chat_id: count for chat_id, count in expected.items() if count}
        if (counts.total, counts.chats) != (sum(some.values()), some):
            yield Finding("counters", f"user {user_id} is told {counts}, and a recount is {some}")
        if counts.listed != expected:
            yield Finding("counters", f"user {user_id} lists {counts.listed}, a recount {expected}")
        notes = sum(not read for read in run.database.notes.get(user_id, {}).values())
        if counts.notes != notes:
            yield Finding(
                "counters", f"user {user_id} is told of {counts.notes} notes, not {notes}"
            )


def check_told_counters(run: Run) -> Iterator[Finding]:
    """What a person's stream says to be unread is what it has told them and not read since."""
    for (user_id, namespace), entries in run.database.log.items():
        if namespace != CHAT or run.database.heads[user_id, namespace][1]:
            continue
        unread: dict[int, set[int]] = defaultdict(set)
        for seq, fact in entries:
            here = unread[fact.chat_id]
            if fact.event == "message:created" and fact.user_id == user_id:
                here.clear()
            elif fact.event == "message:created":
                here.add(fact.number)
            elif fact.event == "message:deleted":
                here.discard(fact.number)
            elif fact.event == "message:read" and fact.user_id == user_id:
                here.difference_update(range(fact.number + 1))
            mine = fact.event in MARKERS and fact.user_id == user_id
            if mine and fact.unread != len(here):
                text = f"user {user_id}, push {seq}: {fact}, and {len(here)} are unread"
                yield Finding("counters", text)


def check_states(run: Run) -> Iterator[Finding]:
    """Every device, and whoever starts with nothing, shows what the rows say."""
    truth = _true_states(run)
    for device in run.devices:
        yield from _compare(device.name, device.state, truth[device.person_id])
    for user_id, state in run.fresh.items():
        yield from _compare(f"a fresh start of user {user_id}", state, truth[user_id])


def _true_states(run: Run) -> dict[int, State]:
    """What each person's devices should show."""
    states: dict[int, State] = defaultdict(State)
    members = run.members
    for chat_id, people in members.items():
        for user_id in people:
            states[user_id].messages[chat_id] = {}
    for row in run.database.messages:
        held = Held(row.sender_id, row.ref, row.text, row.edited, row.deleted)
        for user_id in members[row.chat_id]:
            states[user_id].messages[row.chat_id][row.seq] = held
    for member in run.database.members:
        for user_id in members[member.chat_id]:
            states[user_id].read[member.chat_id, member.user_id] = member.read_seq
            states[user_id].delivered[member.chat_id, member.user_id] = member.delivered_seq
    for user_id in list(states):
        states[user_id].notes = run.database.notes.get(user_id, {})
    return states


def _compare(name: str, state: State, truth: State) -> Iterator[Finding]:
    for chat_id, messages in truth.messages.items():
        mine = state.messages.get(chat_id, {})
        for seq in sorted(messages.keys() - mine.keys())[:LISTED]:
            yield Finding("lost", f"{name} does not have message {seq} of chat {chat_id}")
        for seq in sorted(mine.keys() - messages.keys())[:LISTED]:
            yield Finding("devices", f"{name} has a message {seq} of chat {chat_id} that is none")
        for seq in sorted(messages.keys() & mine.keys()):
            if mine[seq] != messages[seq]:
                text = (
                    f"{name}: message {seq} of chat {chat_id} is {mine[seq]}, not {messages[seq]}"
                )
                yield Finding("devices", text)
    mine_reached, truly = reached(state), reached(truth)
    for key in sorted(mine_reached.keys() | truly.keys()):
        if mine_reached.get(key, 0) != truly.get(key, 0):
            text = f"{name}: {key} is at {mine_reached.get(key)}, not {truly.get(key)}"
            yield Finding("receipts", text)
    if state.notes != truth.notes:
        wrong = set(state.notes.items()) ^ set(truth.notes.items())
        yield Finding("devices", f"{name} shows another feed: {sorted(wrong)[:10]}")


def check_answers(run: Run) -> Iterator[Finding]:
    """Nothing is refused but for a while."""
    for operation in run.operations:
        for attempt in operation.attempts:
            if attempt.outcome == "internal":
                yield Finding("refused", f"{operation.event}: internal", attempt.at)
            if attempt.outcome == "silent":
                text = f"{operation.event} {operation.ref} on {attempt.connection}"
                yield Finding("unanswered", text, attempt.at)
        if operation.settled_at is not None and not operation.acknowledged:
            text = f"{operation.event} {operation.payload}: {operation.failure}"
            yield Finding("refused", text, operation.first_at)


def _acknowledged(run: Run) -> Iterator[Operation]:
    for operation in run.operations:
        if operation.acknowledged and operation.event in MUTATIONS:
            yield operation


def _lost(operation: Operation, how: str) -> Finding:
    text = f"{operation.event} {operation.ref} was acknowledged {how}"
    return Finding("lost", text, operation.first_at)


PROMISES: tuple[Callable[[Run], Iterator[Finding]], ...] = (
    check_acknowledged,
    check_logged,
    check_arrived,
    check_rows,
    check_sends_once,
    check_order,
    check_markers,
    check_counters,
    check_told_counters,
    check_states,
    check_answers,
)

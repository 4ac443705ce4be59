"""run.py with a bug planted in it, which a run must find: `-m tests.faults.broken BUG …`."""

import itertools
import sys
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID, uuid4

import run
from server.bus import Notice
from server.feed import Feed
from storage import chat as chats

EVERY = 50


def drop_pushes() -> None:
    """Every so many pushes one is taken for sent."""
    send, numbers = Feed._send, itertools.count(1)

    def send_most(feed: Feed, notice: Notice, kind: str) -> None:
        if next(numbers) % EVERY:
            send(feed, notice, kind)
        else:
            feed._last = notice.seq or feed._last

    setattr(Feed, "_send", send_most)  # noqa: B010 - a method is not to be assigned to


def forget_refs() -> None:
    """A message that is sent again is a new one."""
    lock, add = chats.lock_for_messages, chats.add_message
    known: set[UUID] = set()

    async def find_nothing(
        db: Any, chat_ids: Collection[int], refs: Sequence[tuple[int, UUID]]
    ) -> tuple[dict[int, chats.Talk], dict[tuple[int, UUID], chats.Message]]:
        talks, sent = await lock(db, chat_ids, refs)
        known.update(ref for _, ref in sent)
        return talks, {}

    def add_another(*args: Any, client_ref: UUID, **kwargs: Any) -> chats.NewMessage:
        return add(*args, client_ref=uuid4() if client_ref in known else client_ref, **kwargs)

    setattr(chats, "lock_for_messages", find_nothing)  # noqa: B010
    setattr(chats, "add_message", add_another)  # noqa: B010


BUGS = {"drop_pushes": drop_pushes, "forget_refs": forget_refs}


if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    run.main()

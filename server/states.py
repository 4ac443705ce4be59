"""Values that people are told again whenever they change, read after the change is committed."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from server.bus import Bus, Notice
from server.log import get_logger
from server.outgoing import State
from server.rounds import Rounds
from storage import events
from storage.database import Database, chunked

log = get_logger(__name__)

Hear = Callable[[Notice], None]
"""Takes what one socket is told; never waits, nor raises."""

PAUSE = 0.5
"""Seconds between two tellings: what changes many times meanwhile is read and told once."""


AT_ONCE = 32
"""People who are told in one turn."""


class Telling(NamedTuple):
    """A value, and who is to hear it: all of the person's sockets, or those that have just come."""

    notice: Notice
    to_all: bool
    newcomers: Sequence[Hear]


class States:
    """Tells people the current value of what changed, many of them at once.

    Two transactions that run side by side cannot see each other, so neither could tell a sum over
    both; whoever reads after both commits can. Signals may overtake each other on the way, so each
    says as of which seq of the person's stream it was read, and sockets drop the older one.
    """

    def __init__(self, database: Database, bus: Bus, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._stale: dict[State[Any], set[int]] = {}
        self._newcomers: dict[State[Any], dict[int, list[Hear]]] = {}
        self._rounds = Rounds(self._is_more, self._tell_stale, PAUSE)

    def tell(self, state: State[Any], user_ids: Collection[int]) -> None:
        """Tell these people soon; never waits, and a person waiting already is told once."""
        self._stale.setdefault(state, set()).update(user_ids)
        self._rounds.begin()

    def greet(self, state: State[Any], user_id: int, hear: Hear) -> None:
        """Tell the value to somebody who has just come, and to nobody else; never waits."""
        self._newcomers.setdefault(state, {}).setdefault(user_id, []).append(hear)
        self._rounds.begin()

    async def close(self) -> None:
        await self._rounds.close()

    def _is_more(self) -> bool:
        return bool(self._stale or self._newcomers)

    async def _tell_stale(self) -> None:
        stale, self._stale = self._stale, {}
        newcomers, self._newcomers = self._newcomers, {}
        told: dict[int, list[Telling]] = defaultdict(list)
        for state in stale | newcomers:
            changed, come = stale.get(state, set()), newcomers.get(state, {})
            for some in chunked(sorted(changed | come.keys())):
                for notice in await self._read(state, some):
                    user_id = notice.user_id
                    telling = Telling(notice, user_id in changed, come.get(user_id, ()))
                    told[user_id].append(telling)
        for those in chunked(list(told.values()), AT_ONCE):
            self._tell([telling for one in those for telling in one])
            # Others have their turn: nobody's message is to wait until all are told.
            await asyncio.sleep(0)

    def _tell(self, tellings: Sequence[Telling]) -> None:
        """In one turn, for what that has for a client leaves as one."""
        if to_all := [telling.notice for telling in tellings if telling.to_all]:
            self._bus.publish(to_all)
        for telling in tellings:
            for hear in telling.newcomers:
                hear(telling.notice)

    async def _read(self, state: State[Any], user_ids: Collection[int]) -> list[Notice]:
        try:
            async with self._database.session(write=False) as db:
                # The seqs first: a value may be newer than it claims to be, never older.
                heads = await events.list_heads(db, user_ids)
                values = await state.read(db, user_ids)
        except Exception as error:
            log.warning("states.unread", state=state.name, error=type(error).__name__)
            return []
        now = self._clock()
        return [
            Notice(
                user_id,
                state.namespace,
                state.name,
                value.model_dump_json(),
                now,
                as_of=heads.get((user_id, state.namespace), 0),
            )
            for user_id, value in values.items()
        ]

"""Values that people are told again whenever they change, read after the change is committed."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

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
        told: list[tuple[list[Notice], set[int], dict[int, list[Hear]]]] = []
        for state in stale | newcomers:
            changed, come = stale.get(state, set()), newcomers.get(state, {})
            told += [
                (await self._read(state, some), changed, come)
                for some in chunked(sorted(changed | come.keys()))
            ]
        # All in one turn: what that has for a client leaves as one.
        for notices, changed, come in told:
            if to_all := [one for one in notices if one.user_id in changed]:
                self._bus.publish(to_all)
            for notice in notices:
                for hear in come.get(notice.user_id, ()):
                    hear(notice)

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

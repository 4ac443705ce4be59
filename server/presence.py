"""Who came and who went, told together."""

import asyncio
import contextvars
from collections.abc import Callable, Collection, Iterable
from itertools import islice

from server.context import Context
from server.contract import Namespace
from server.log import get_logger
from server.runtime import Runtime

log = get_logger(__name__)

AT_ONCE = 200
CLOSE_TIMEOUT = 2.0


class Presence:
    """People are there while any instance holds a socket of theirs.

    One change of a person is carried out after the other, and only what is still true then: who
    comes and goes quickly may have gone, or come back, by that time.
    """

    def __init__(
        self, runtime: Runtime, namespaces: Iterable[Namespace], is_here: Callable[[int], bool]
    ) -> None:
        self._runtime = runtime
        self._told = [space.on_presence for space in namespaces if space.on_presence is not None]
        self._is_here = is_here
        self._changed: dict[int, None] = {}
        self._departed: dict[int, None] = {}
        self._running: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        return self._running is not None

    def change(self, user_id: int) -> None:
        """Their first socket on this instance came, or the last one went."""
        self._changed[user_id] = None
        self._run_on()

    def departed(self, user_ids: Collection[int]) -> None:
        """They were on an instance that died."""
        self._departed |= dict.fromkeys(user_ids)
        self._run_on()

    async def stop(self) -> None:
        """See the last ones off."""
        if self._running is not None:
            await asyncio.wait([self._running], timeout=CLOSE_TIMEOUT)

    def _run_on(self) -> None:
        if self._running is None:
            self._running = asyncio.create_task(self._run(), context=contextvars.Context())

    async def _run(self) -> None:
        try:
            while self._changed or self._departed:
                await self._carry_out(_take(self._changed), _take(self._departed))
        finally:
            self._running = None

    async def _carry_out(self, changed: set[int], died: set[int]) -> None:
        bus = self._runtime.bus
        here = {user_id for user_id in changed if self._is_here(user_id)}
        came = await bus.arrive(here) if here else set()
        gone = changed - here
        went = await bus.depart(gone) if gone else set()
        await self._tell(came, online=True)
        await self._tell(went | {one for one in died if not self._is_here(one)}, online=False)

    async def _tell(self, user_ids: Collection[int], *, online: bool) -> None:
        """As well as it can be done now: what is told here may be lost."""
        if not user_ids:
            return
        try:
            for tell in self._told:
                async with Context.open(self._runtime) as ctx:
                    await tell(ctx, user_ids, online=online)
        except Exception as error:
            log.warning("presence.untold", error=type(error).__name__)


def _take(waiting: dict[int, None]) -> set[int]:
    taken = set(islice(waiting, AT_ONCE))
    for user_id in taken:
        del waiting[user_id]
    return taken

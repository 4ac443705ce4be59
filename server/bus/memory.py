"""The bus of a single process."""

from collections.abc import Collection, Sequence

from server.bus import Listener, Message


class MemoryBus:
    """Hands every message straight to the one listener there is."""

    name = ""
    healthy = True
    waiting = 0

    def __init__(self) -> None:
        self._listener: Listener | None = None
        self._subscribed: set[int] = set()
        self._present: set[int] = set()

    async def start(self, listener: Listener | None = None) -> None:
        self._listener = listener

    async def stop(self) -> None:
        self._listener = None

    def publish(self, messages: Sequence[Message]) -> None:
        if self._listener is not None:
            self._listener.receive([one for one in messages if one.user_id in self._subscribed])

    def subscribe(self, user_id: int) -> None:
        self._subscribed.add(user_id)

    def unsubscribe(self, user_id: int) -> None:
        self._subscribed.discard(user_id)

    async def find_peer(self, name: str) -> str | None:
        return None

    async def arrive(self, user_ids: Collection[int]) -> set[int]:
        came = set(user_ids) - self._present
        self._present |= came
        return came

    async def depart(self, user_ids: Collection[int]) -> set[int]:
        left = self._present.intersection(user_ids)
        self._present -= left
        return left

    async def find_online(self, user_ids: Collection[int]) -> set[int]:
        return self._present.intersection(user_ids)

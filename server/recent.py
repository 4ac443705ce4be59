"""What people here were told last: who comes back after a moment asks the database for nothing.

A copy of the end of the log, for those who have sockets here or had a moment ago. It holds what
the bus told and what was read in the log before that, so it may lack what the bus lost; whoever
reads goes on in the log where it ends.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence

from server.bus import Notice
from storage.events import Stream

LENGTH = 100
"""Events of one stream."""

ROOM = 16_000_000
"""Characters in all; the streams that were quiet for longest go first."""


class Recent:
    def __init__(self, room: int = ROOM) -> None:
        self._streams: OrderedDict[Stream, deque[Notice]] = OrderedDict()
        self._left = room
        self.version = 0
        """Moves when something is forgotten because it may be another by now."""

    def note(self, notice: Notice) -> None:
        """Remember a numbered event; after a gap only what follows it."""
        if notice.seq is None:
            return
        stream = (notice.user_id, notice.namespace)
        entries = self._streams.get(stream)
        if entries is None:
            entries = self._streams[stream] = deque()
        else:
            self._streams.move_to_end(stream)
        if entries and (last := entries[-1].seq) is not None:
            if notice.seq <= last:
                return
            if notice.seq != last + 1:
                self._drop(entries, len(entries))
        entries.append(notice)
        self._left -= len(notice.data)
        if len(entries) > LENGTH:
            self._drop(entries, 1)
        if self._left < 0:
            self._make_room()

    def fill(self, page: Sequence[Notice], version: int) -> None:
        """Remember events of one stream, read in the log when `version` was what it is now."""
        if version != self.version or not page or page[-1].seq is None:
            return
        entries = self._streams.setdefault((page[0].user_id, page[0].namespace), deque())
        first = entries[0].seq if entries and entries[0].seq is not None else page[-1].seq + 1
        room = LENGTH - len(entries)
        if page[-1].seq + 1 >= first and room:
            older = [one for one in page if one.seq is not None and one.seq < first][-room:]
            entries.extendleft(reversed(older))
            self._left -= sum(len(one.data) for one in older)
            self._make_room()

    def read(self, stream: Stream, after: int) -> list[Notice]:
        """What follows a seq without a gap, as far as is known; nothing where it is not."""
        entries = self._streams.get(stream)
        if not entries or entries[0].seq is None or not entries[0].seq <= after + 1:
            return []
        return [entry for entry in entries if entry.seq is not None and entry.seq > after]

    def forget(self, user_id: int) -> None:
        """Nothing of this person's is remembered."""
        self.version += 1
        for stream in list(self._list_streams(user_id)):
            entries = self._streams.pop(stream)
            self._drop(entries, len(entries))

    def clear(self) -> None:
        self.version += 1
        for entries in self._streams.values():
            self._drop(entries, len(entries))
        self._streams.clear()

    def _make_room(self) -> None:
        while self._left < 0:
            _, oldest = self._streams.popitem(last=False)
            self._drop(oldest, len(oldest))

    def _list_streams(self, user_id: int) -> Iterator[Stream]:
        # There are some thousands at the most, and this is rare.
        return (stream for stream in self._streams if stream[0] == user_id)

    def _drop(self, entries: deque[Notice], count: int) -> None:
        for _ in range(count):
            self._left += len(entries.popleft().data)

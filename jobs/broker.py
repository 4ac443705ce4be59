"""Who is told that a job is due: taskiq carries ids, the outbox row is the job."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from time import monotonic
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from taskiq import AckableMessage, AsyncBroker
from taskiq.message import BrokerMessage
from taskiq_redis import RedisStreamBroker

from server.log import get_logger
from server.outgoing import Queue
from server.settings import Settings

log = get_logger(__name__)

MAX_WAITING = 10_000
"""Wakes that one queue holds. What is dropped beyond is told again by the scheduler."""

WAKE = "wake"
"""The one task there is: to do the job with this id."""

GROUP = "workers"
BLOCK = 1000
"""Milliseconds that a read of an empty stream waits; well below the socket's timeout."""

SOCKET_TIMEOUT = 5
RECLAIM_EVERY = 5.0
IDLE = 30_000
"""Milliseconds after which a wake that nobody has acknowledged is another worker's."""

FORGET_AFTER = 3_600_000
RECONNECT_AFTER = 1.0

Brokers = dict[Queue, AsyncBroker]
Entries = Sequence[tuple[bytes, dict[bytes, bytes]]]


class MemoryBroker(AsyncBroker):
    """Inside one process."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)

    async def kick(self, message: BrokerMessage) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(message.message)

    async def listen(self) -> AsyncGenerator[bytes, None]:
        while True:
            yield await self._waiting.get()


class StreamBroker(RedisStreamBroker):
    """Over a Redis stream, with what the library's broker lacks.

    A dead worker's wakes are taken over also while nothing new arrives, acknowledged ones leave
    the stream, and a Redis that is away or comes back empty ends nothing. A wake may be taken
    from a worker that is only slow: its claim on the row keeps the job its own.
    """

    def __init__(self, url: str, stream: str) -> None:
        super().__init__(
            url,
            queue_name=stream,
            consumer_group_name=GROUP,
            # What was sent before the first worker came is for it too.
            consumer_id="0",
            maxlen=MAX_WAITING,
            xread_block=BLOCK,
            # One at a time: what waits here could be done by others.
            xread_count=1,
            idle_timeout=IDLE,
            socket_timeout=SOCKET_TIMEOUT,
            socket_connect_timeout=SOCKET_TIMEOUT,
            driver_info=None,
        )
        self._redis = Redis(connection_pool=self.connection_pool)

    async def startup(self) -> None:
        # Without Redis the server serves all the same; listen() tries on.
        with contextlib.suppress(RedisError, OSError):
            await super().startup()

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        reclaimed = monotonic()
        while True:
            try:
                entries = await self._read()
                if monotonic() - reclaimed > RECLAIM_EVERY:
                    reclaimed = monotonic()
                    entries = [*entries, *await self._reclaim()]
            except (RedisError, OSError) as error:
                await self._recover(error)
                entries = []
            # A write under `wait_for`, as the client's are, can swallow a cancellation on
            # Python 3.11; the receiver cancels once and waits for as long as it takes.
            if not entries and _is_cancelled():
                raise asyncio.CancelledError
            for entry, fields in entries:
                yield AckableMessage(
                    data=fields[b"data"], ack=self._ack_generator(entry, self.queue_name)
                )

    async def _read(self) -> Entries:
        streams: Any = await self._redis.xreadgroup(
            GROUP, self.consumer_name, {self.queue_name: ">"}, count=self.count, block=self.block
        )
        return streams[0][1] if streams else []

    async def _reclaim(self) -> Entries:
        _, entries, *_ = await self._redis.xautoclaim(
            self.queue_name, GROUP, self.consumer_name, self.idle_timeout
        )
        for consumer in await self._redis.xinfo_consumers(self.queue_name, GROUP):
            if not consumer["pending"] and consumer["idle"] > FORGET_AFTER:
                await self._redis.xgroup_delconsumer(self.queue_name, GROUP, consumer["name"])
        # What was deleted meanwhile comes without its fields.
        return [(entry, fields) for entry, fields in entries if fields]

    async def _recover(self, error: Exception) -> None:
        log.warning("broker.read_failed", error=type(error).__name__)
        if isinstance(error, ResponseError) and str(error).startswith("NOGROUP"):
            with contextlib.suppress(RedisError, OSError):
                await self._declare_consumer_group()
        else:
            await asyncio.sleep(RECONNECT_AFTER)

    def _ack_generator(self, id: Any, queue_name: str) -> Any:
        async def ack() -> None:
            pipe = self._redis.pipeline()
            pipe.xack(queue_name, GROUP, id)
            pipe.xdel(queue_name, id)
            # One that stays is taken over, and finds the job done.
            with contextlib.suppress(RedisError, OSError):
                await pipe.execute()

        return ack


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def build_brokers(settings: Settings) -> Brokers:
    """A broker for each queue: in memory, or streams where there is a Redis."""
    return {queue: _build_broker(settings, queue) for queue in Queue}


def _build_broker(settings: Settings, queue: Queue) -> AsyncBroker:
    if settings.redis is None:
        return MemoryBroker()
    return StreamBroker(settings.redis, f"emotrack:{settings.deployment}:jobs:{queue}")

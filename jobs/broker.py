"""Who is told that a job is due: taskiq carries ids, the outbox row is the job."""

from collections.abc import Coroutine
from typing import Any

from taskiq import AsyncBroker, InMemoryBroker
from taskiq.decor import AsyncTaskiqDecoratedTask

from jobs.perform import perform
from server.runtime import Runtime

Wake = AsyncTaskiqDecoratedTask[[int], Coroutine[Any, Any, None]]


def build_broker() -> AsyncBroker:
    """The broker inside this process; it may lose everything, for the relay asks again."""
    return InMemoryBroker()


def register_wake(broker: AsyncBroker, runtime: Runtime) -> Wake:
    """The one task there is: to wake a worker for the job with this id."""

    async def wake(job_id: int) -> None:
        await perform(runtime, job_id)

    return broker.register_task(wake, task_name="wake")

"""The people of a run: pairs in chats, who sends what when, and their journal."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from run import make_runtime
from server.settings import Settings
from server.tasks import end_tasks
from storage.accounts import Role
from tests.faults.cluster import Cluster
from tests.faults.device import Broken, Calm, Device
from tests.faults.record import OK, Attempt, Operation, Seen
from tests.faults.recovery import Progress
from tests.instance import Instance, Person

PAUSES = (1.0, 4.0)
"""Seconds between two things that one person does in one chat."""

REPEAT_AFTER = (0.1, 0.5)
SIGNED_IN_BEFORE = timedelta(minutes=30)
"""Long ago on every clock, however wrong it is."""

TRANSPORTS = (("websocket",), ("polling",), ("polling", "websocket"))
WEIGHTS = {
    "send": 50,
    "burst": 6,
    "vanish": 12,
    "edit": 12,
    "delete": 6,
    "read": 20,
    "delivered": 8,
}
BURST = 3
LONGEST_MESSAGE = 400


@dataclass(slots=True)
class Speaker:
    """One person in one chat: does one thing after another."""

    person_id: int
    other_id: int
    chat_id: int
    devices: list[Device]
    rng: random.Random
    own: list[int] = field(default_factory=list)
    """Seqs of own messages that are not deleted."""


class People:
    """Everybody, with their devices."""

    def __init__(self, seed: str, calm: Calm) -> None:
        self.operations: list[Operation] = []
        self.devices: list[Device] = []
        self.speakers: list[Speaker] = []
        self.progress = Progress(lambda: asyncio.get_running_loop().time())
        self._seed = seed
        self._calm = calm
        self._last: dict[int, int] = {}
        self._nudge = asyncio.Event()
        self._nudges = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def create(self, cluster: Cluster, url: str, pairs: int) -> None:
        """Accounts, relations and chats, and devices that are not connected yet."""
        async with open_instance(cluster) as instance:
            patients = [await instance.add_person(Role.PATIENT) for _ in range(pairs)]
            # Of three patients two share a psychologist.
            wanted = [place * 2 // 3 for place in range(pairs)]
            psychologists = {
                place: await instance.add_person(Role.PSYCHOLOGIST) for place in sorted(set(wanted))
            }
            people: dict[int, Person] = {}
            for patient, place in zip(patients, wanted, strict=True):
                psychologist = psychologists[place]
                await instance.relate(psychologist, patient)
                chat_id = await instance.open_chat(psychologist, patient)
                for one, other in ((psychologist, patient), (patient, psychologist)):
                    people[one.id] = one
                    rng = random.Random(f"{self._seed} {chat_id} {one.id}")
                    self.speakers.append(Speaker(one.id, other.id, chat_id, [], rng))
        devices = {
            person.id: self._give_devices(person, place, url)
            for place, person in enumerate(people.values())
        }
        for speaker in self.speakers:
            speaker.devices = devices[speaker.person_id]
        self.progress.chat_ids = {speaker.chat_id for speaker in self.speakers}

    def connect(self) -> None:
        for device in self.devices:
            device.start()

    def talk(self) -> None:
        """Let everybody do things until `hush`."""
        self._tasks = [asyncio.create_task(self._speak(speaker)) for speaker in self.speakers]

    def nudge(self) -> None:
        """Everybody sends something as soon as they can."""
        self._nudges += 1
        self._nudge.set()
        self._nudge = asyncio.Event()

    async def hush(self, patience: float) -> int:
        """Let everybody finish what they began; how many could not."""
        self._stopping = True
        self.nudge()
        if not self._tasks:
            return 0
        done, unfinished = await asyncio.wait(self._tasks, timeout=patience)
        await end_tasks(unfinished)
        for task in done:
            task.result()
        return len(unfinished)

    async def stop(self) -> None:
        await end_tasks(self._tasks)
        await asyncio.gather(*(device.stop() for device in self.devices))

    # -- Devices --

    def _give_devices(self, person: Person, place: int, url: str) -> list[Device]:
        rng = random.Random(f"{self._seed} {person.id}")
        devices = [
            Device(
                f"u{person.id}/{number}",
                person.id,
                person.token,
                url=url,
                transports=TRANSPORTS[(place + number) % len(TRANSPORTS)],
                calm=self._calm,
                rng=random.Random(f"{self._seed} {person.id} {number}"),
                from_start=number == 0,
                on_push=self._notice,
            )
            for number in range(rng.choice((2, 3)))
        ]
        self.devices += devices
        return devices

    def _notice(self, person_id: int, seen: Seen) -> None:
        fact = seen.fact
        if fact.event == "message:created":
            self._last[fact.chat_id] = max(fact.number, self._last.get(fact.chat_id, 0))
            if fact.user_id != person_id and fact.text:
                self.progress.arrive(fact.text.partition(" ")[0])

    # -- Doing --

    async def _speak(self, speaker: Speaker) -> None:
        heeded = self._nudges
        while not self._stopping:
            if heeded == self._nudges:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._nudge.wait(), speaker.rng.uniform(*PAUSES))
            nudged, heeded = heeded != self._nudges, self._nudges
            if not self._stopping:
                await self._do(speaker, "send" if nudged else _choose(speaker.rng, WEIGHTS))

    async def _do(self, speaker: Speaker, kind: str) -> None:
        last = self._last.get(speaker.chat_id, 0)
        if kind in ("send", "vanish"):
            await self._send(speaker, vanish=kind == "vanish")
        elif kind == "burst":
            await self._send_burst(speaker)
        elif kind in ("edit", "delete") and speaker.own:
            # Mostly recent ones, as people do.
            seq = speaker.own[-speaker.rng.randint(1, min(10, len(speaker.own)))]
            operation = self._plan(speaker, f"message:{kind}", seq=seq)
            if kind == "edit":
                operation.payload["text"] = _write(operation.ref, speaker.rng)
            else:
                speaker.own.remove(seq)
            await self._carry_out(operation, speaker)
        elif kind in ("read", "delivered") and last:
            seq = max(1, last - speaker.rng.choice((0, 0, 0, 1, 3)))
            await self._carry_out(self._plan(speaker, f"message:{kind}", seq=seq), speaker)

    def _plan(self, speaker: Speaker, event: str, **payload: object) -> Operation:
        ref = str(UUID(int=speaker.rng.getrandbits(128), version=4))
        operation = Operation(
            event,
            speaker.person_id,
            speaker.chat_id,
            {"chat_id": speaker.chat_id, "client_ref": ref, **payload},
        )
        self.operations.append(operation)
        return operation

    async def _send(self, speaker: Speaker, *, vanish: bool) -> None:
        operation = self._plan(speaker, "message:send")
        operation.payload["text"] = _write(operation.ref, speaker.rng)
        self.progress.begin(operation)
        device = speaker.rng.choice(speaker.devices)
        if vanish:
            await self._vanish(operation, device, speaker.rng)
        await self._carry_out(operation, speaker, device)
        self._keep(speaker, operation)

    async def _vanish(self, operation: Operation, device: Device, rng: random.Random) -> None:
        """Emit, and break the connection at some moment before or after the answer."""
        attempt = await self._emit(operation, device)
        await asyncio.sleep(rng.choice((0, 0.002, 0.01, 0.05)))
        await device.drop()
        attempt[0].outcome = "vanished"

    async def _send_burst(self, speaker: Speaker) -> None:
        """Several at once, on one connection: answered in their order or not at all."""
        device = speaker.rng.choice(speaker.devices)
        operations = []
        for _ in range(BURST):
            operation = self._plan(speaker, "message:send")
            operation.payload["text"] = _write(operation.ref, speaker.rng)
            self.progress.begin(operation)
            operations.append(operation)
        begun = [await self._emit(operation, device) for operation in operations]
        for operation, (attempt, finish) in zip(operations, begun, strict=True):
            await self._await(operation, attempt, finish)
        for operation in operations:
            await self._carry_out(operation, speaker, device)
            self._keep(speaker, operation)

    def _keep(self, speaker: Speaker, operation: Operation) -> None:
        if operation.answer is not None:
            speaker.own.append(operation.answer["seq"])

    async def _carry_out(
        self, operation: Operation, speaker: Speaker, device: Device | None = None
    ) -> None:
        """Repeat it until it is settled."""
        device = device or speaker.rng.choice(speaker.devices)
        while operation.settled_at is None:
            if operation.attempts:
                await asyncio.sleep(speaker.rng.uniform(*REPEAT_AFTER))
            await self._await(operation, *await self._emit(operation, device))

    async def _emit(
        self, operation: Operation, device: Device
    ) -> tuple[Attempt, Callable[[], Awaitable[dict[str, object]]]]:
        await device.wait_online()
        attempt = Attempt(asyncio.get_running_loop().time(), "")
        operation.attempts.append(attempt)
        attempt.connection, coming = await device.begin(operation.event, operation.payload)
        return attempt, lambda: device.finish(*coming)

    async def _await(
        self,
        operation: Operation,
        attempt: Attempt,
        finish: Callable[[], Awaitable[dict[str, object]]],
    ) -> None:
        try:
            answer = await finish()
        except Broken as broken:
            attempt.outcome = str(broken)
            return
        error, data = answer.get("error"), answer.get("data")
        if isinstance(error, dict):
            attempt.outcome = error["code"]
            if error["retryable"]:
                return
        else:
            assert isinstance(data, dict), answer
            attempt.outcome = OK
            operation.answer = data
        operation.settled_at = asyncio.get_running_loop().time()
        self.progress.acknowledge(operation)


def list_silences(devices: Sequence[Device]) -> list[tuple[float, str]]:
    """Events that were never answered on connections that stayed up: when, and which."""
    return [silence for device in devices for silence in device.silences]


def _choose(rng: random.Random, weights: dict[str, int]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


def _write(ref: str, rng: random.Random) -> str:
    """A text that says which operation it is of."""
    return f"{ref} {'я' * rng.randint(0, LONGEST_MESSAGE)}"


@asynccontextmanager
async def open_instance(cluster: Cluster) -> AsyncIterator[Instance]:
    """Accounts are made in process, on the cluster's database, by somebody signed in long ago."""
    values: dict[str, Any] = {name.lower(): value for name, value in cluster.variables.items()}
    settings = Settings(_env_file=None, **values)
    runtime = make_runtime(settings)
    runtime.clock = lambda: datetime.now(UTC) - SIGNED_IN_BEFORE
    try:
        yield Instance(runtime, f"http://127.0.0.1:{cluster.servers[0].port}")
    finally:
        await runtime.close()

"""A whole run: the cluster, the people, the faults, the end, and the verdict."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.checker import check
from tests.faults.cluster import Cluster, write_lines
from tests.faults.conductor import Conductor
from tests.faults.database import is_followed, read_database, read_heads
from tests.faults.device import Calm, settle_all
from tests.faults.network import Network
from tests.faults.people import People
from tests.faults.record import NAMESPACES, Counts, Finding, Run, State
from tests.faults.strikes import STRIKES, Scene
from tests.faults.table import Outcome

SETTLE_WITHIN = 90.0
QUIET_BEFORE = 3.0
LOOK_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a run. With `once` each fault comes once, else rounds fill the minutes."""

    seed: str
    minutes: float
    pairs: int
    only: Sequence[str] = tuple(STRIKES)
    servers: int = 2
    pace: float = 1.0
    settle: float = SETTLE_WITHIN
    once: bool = False
    broken: str = ""
    command: str = ""


async def carry_out(plan: Plan, folder: Path) -> Outcome:
    """Run the plan. Whatever happens, no process stays behind."""
    cluster = Cluster(folder, plan.servers, plan.broken)
    network = Network(cluster.servers)
    calm = Calm()
    people = People(plan.seed, calm)
    try:
        await cluster.start()
        await network.start()
        await people.create(cluster, network.url, plan.pairs)
        scene = Scene(cluster, network, people, random.Random(plan.seed), plan.pace)
        return await _live(plan, scene, calm)
    finally:
        await people.stop()
        await network.stop()
        cluster.reap()


async def _live(plan: Plan, scene: Scene, calm: Calm) -> Outcome:
    began_at = _now()

    def say(what: str) -> None:
        clock = datetime.now(UTC).strftime("%H:%M:%S")
        print(f"{clock} {_now() - began_at:7.1f} s  {what}", flush=True)  # noqa: T201

    conductor = Conductor(scene, calm, say)
    people = scene.people
    people.connect()
    async with asyncio.timeout(SETTLE_WITHIN):
        await settle_all(people.devices)
    say(f"{len(people.devices)} devices of {plan.pairs} pairs are connected")
    people.talk()
    if plan.once:
        await asyncio.sleep(QUIET_BEFORE)
        await conductor.play_once(plan.only)
    elif plan.only:
        await asyncio.sleep(QUIET_BEFORE)
        await conductor.play(began_at + plan.minutes * 60, plan.only)
    else:
        await asyncio.sleep(plan.minutes * 60)
    say("everything is healed, the people finish what they began")
    findings = [*conductor.findings, *await _settle(scene, plan.settle)]
    say("settled")
    run = await _gather(scene)
    findings += check(run)
    findings += [Finding("log", line) for line in scene.cluster.list_alarms()]
    if findings:
        _write_record(scene.cluster.folder, run, findings)
    return Outcome(
        run, conductor.played, findings, began_at, _now(), plan.seed, plan.pairs, plan.command
    )


async def _settle(scene: Scene, patience: float) -> list[Finding]:
    """Let everybody finish, come back and catch up."""
    scene.network.flow()
    scene.cluster.heal()
    findings = []
    if unfinished := await scene.people.hush(patience):
        findings.append(Finding("unanswered", f"{unfinished} people could not finish"))
    try:
        async with asyncio.timeout(patience):
            await settle_all(scene.people.devices)
            while not await is_followed(scene.cluster.postgres.url):  # noqa: ASYNC110 - as below
                await asyncio.sleep(LOOK_EVERY)
            while await _list_behind(scene):  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(LOOK_EVERY)
    except TimeoutError:
        behind = await _list_behind(scene)
        findings += [Finding("lost", f"{line} never caught up") for line in behind[:20]]
    for device in scene.people.devices:
        findings += [
            Finding("refused", f"{device.record.name} could not connect {count} times: {code}")
            for code, count in device.refusals.items()
            if code in UNEXPECTED_REFUSALS
        ]
    return findings


UNEXPECTED_REFUSALS = {"unauthenticated", "token_expired", "forbidden", "invalid", "internal"}


async def _list_behind(scene: Scene) -> list[str]:
    heads = await read_heads(scene.cluster.postgres.url)
    behind = []
    for device in scene.people.devices:
        for namespace in NAMESPACES:
            head = heads.get((device.record.person_id, namespace), 0)
            cursor = device.record.cursors.get(namespace)
            if cursor != head:
                behind.append(f"{device.record.name} {namespace}: {cursor} of {head}")
    return behind


async def _gather(scene: Scene) -> Run:
    """What everybody has, and what they are told when they ask."""
    counts: dict[int, Counts] = {}
    fresh: dict[int, State] = {}
    for device in scene.people.devices:
        person_id = device.record.person_id
        if person_id not in counts:
            counts[person_id] = await device.count()
            fresh[person_id] = State()
            await device.fetch_chats(fresh[person_id])
            await device.fetch_feed(fresh[person_id])
    return Run(
        operations=scene.people.operations,
        devices=[device.record for device in scene.people.devices],
        database=await read_database(scene.cluster.postgres.url),
        counts=counts,
        fresh=fresh,
    )


def _write_record(folder: Path, run: Run, findings: Sequence[Finding]) -> None:
    write_lines(folder / "findings.jsonl", (finding._asdict() for finding in findings))
    write_lines(folder / "operations.jsonl", (asdict(one) for one in run.operations))
    for device in run.devices:
        rows = (seen._asdict() for seen in device.seen)
        write_lines(folder / f"device-{device.name.replace('/', '-')}.jsonl", rows)


def _now() -> float:
    return asyncio.get_running_loop().time()

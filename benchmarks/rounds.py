"""Rounds: every peer under one workload in turn, and what that cost."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import orjson
from redis.asyncio import Redis

from benchmarks.cost import read_cpu, read_memory
from benchmarks.peers import Couple, Peer
from benchmarks.places import keep_apart
from benchmarks.table import Round
from benchmarks.workloads import Workload
from tests.faults.cluster import Cluster

LONGEST = 180
"""Seconds after which a load is given up."""


async def alternate(
    cluster: Cluster,
    peers: Sequence[Peer],
    couples: Mapping[str, Sequence[Couple]],
    workload: Workload,
    rounds: int,
    seconds: float,
) -> list[Round]:
    """Every peer once a round, each round beginning with another one."""
    played = []
    for number in range(rounds):
        first = number % len(peers)
        for peer in (*peers[first:], *peers[:first]):
            await empty(cluster.redis.url)
            ports = await peer.start(workload.instances)
            try:
                made = await peer.make_ready(workload.name)
                some = couples[peer.name][workload.couples]
                ready = replace(workload, options={**workload.options, **made})
                one = await measure(cluster, peer, ports, some, ready, seconds)
            finally:
                await peer.stop()
            told = format(workload.columns[0].read(one), workload.columns[0].form)
            report(f"{workload.name}, round {number + 1}: {peer.name} {told}")
            played.append(one)
    return played


async def empty(redis_url: str) -> None:
    """The servers before were killed and could not take back what they said of themselves."""
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()


async def measure(
    cluster: Cluster,
    peer: Peer,
    ports: Sequence[int],
    couples: Sequence[Couple],
    workload: Workload,
    seconds: float,
) -> Round:
    order = {
        "ports": ports,
        "seconds": seconds,
        "couples": [asdict(couple) for couple in couples],
        **peer.options,
        **workload.options,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.loads",
        workload.load,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if workload.instances == 1:
        keep_apart(peer.server_ids, process.pid)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(orjson.dumps(order))
    process.stdin.write_eof()
    costs: list[dict[str, float]] = []
    try:
        async with asyncio.timeout(LONGEST):
            for expected in (b"begin\n", b"end\n"):
                if await process.stdout.readline() != expected:
                    raise RuntimeError(f"{workload.name}: the load of {peer.name} broke off")
                costs.append(read_costs(cluster, peer, process.pid))
            found: dict[str, Any] = orjson.loads(await process.stdout.read())
            await process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    spent = {part: costs[1][part] - costs[0][part] for part in costs[0]}
    return Round(peer.name, seconds, found, spent)


def read_costs(cluster: Cluster, peer: Peer, load_id: int) -> dict[str, float]:
    return {
        "load": read_cpu([load_id]),
        "server": read_cpu(peer.server_ids),
        "workers": read_cpu(peer.worker_ids),
        "postgres": read_cpu([cluster.postgres.id]),
        "redis": read_cpu([cluster.redis.id]),
        "memory": read_memory(peer.server_ids),
    }


def report(line: str) -> None:
    """How far it is; apart from the tables, which can then be kept as they are."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a command's

"""`make bench`: ours and the peers in turn, on the same PostgreSQL (fsync on) and Redis."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from benchmarks.cost import read_cpu, read_memory
from benchmarks.peers import Couple, Ours, Peer, make_peers
from benchmarks.pgbench import run_pgbench
from benchmarks.table import BASELINE, Round, draw_table
from benchmarks.workloads import WORKLOADS, Workload
from tests.faults.cluster import Cluster

COUPLES = 250
LONGEST = 180
"""Seconds after which a load is given up."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--couples", type=int, default=COUPLES)
    parser.add_argument("--peers", nargs="+", default=[Ours.name, BASELINE, "plain"])
    parser.add_argument("--only", nargs="+", default=[one.name for one in WORKLOADS])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="emotrack-bench-") as folder:
        # PostgreSQL, which does not run as root, has its folder in it.
        Path(folder).chmod(0o755)
        cluster = Cluster(Path(folder), servers=2)
        try:
            asyncio.run(bench(cluster, arguments))
        finally:
            cluster.reap()


async def bench(cluster: Cluster, arguments: argparse.Namespace) -> None:
    await asyncio.gather(cluster.postgres.start(), cluster.redis.start())
    peers = await make_peers(cluster, arguments.peers)
    couples: dict[str, Sequence[Couple]] = {}
    for peer in peers:
        await peer.start(1)
        couples[peer.name] = await peer.prepare(arguments.couples)
        await peer.stop()
    if BASELINE in arguments.peers:
        say(await run_pgbench(cluster.postgres.url, BASELINE, arguments.seconds))
    best = 0.0
    for workload in WORKLOADS:
        if workload.name not in arguments.only:
            continue
        rate = {"rate": round(best / 2)} if workload.name == "half" else {}
        able = [peer for peer in peers if not workload.peers or peer.name in workload.peers]
        played = replace(workload, options={**workload.options, **rate})
        rounds = await alternate(cluster, able, couples, played, arguments)
        say(draw_table(workload.title, workload.columns, workload.counts, rounds))
        if workload.name == "chat":
            rates = [workload.columns[0].read(one) for one in rounds if one.peer == BASELINE]
            best = max(rates, default=0.0)


async def alternate(
    cluster: Cluster,
    peers: Sequence[Peer],
    couples: dict[str, Sequence[Couple]],
    workload: Workload,
    arguments: argparse.Namespace,
) -> list[Round]:
    """Every peer once a round, each round beginning with another one."""
    rounds = []
    for number in range(arguments.rounds):
        first = number % len(peers)
        for peer in (*peers[first:], *peers[:first]):
            await empty(cluster.redis.url)
            ports = await peer.start(workload.instances)
            try:
                made = await peer.make_ready(workload.name)
                some = couples[peer.name][workload.couples]
                ready = replace(workload, options={**workload.options, **made})
                one = await measure(cluster, peer, ports, some, ready, arguments.seconds)
            finally:
                await peer.stop()
            told = format(workload.columns[0].read(one), workload.columns[0].form)
            say(f"{workload.name}, round {number + 1}: {peer.name} {told}")
            rounds.append(one)
    return rounds


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
                costs.append(read_costs(cluster, peer))
            found: dict[str, Any] = orjson.loads(await process.stdout.read())
            await process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    spent = {part: costs[1][part] - costs[0][part] for part in costs[0]}
    return Round(peer.name, seconds, found, spent)


def read_costs(cluster: Cluster, peer: Peer) -> dict[str, float]:
    return {
        "server": read_cpu(peer.server_ids),
        "workers": read_cpu(peer.worker_ids),
        "postgres": read_cpu([cluster.postgres.id]),
        "redis": read_cpu([cluster.redis.id]),
        "memory": read_memory(peer.server_ids),
    }


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the answer of a command


if __name__ == "__main__":
    main()

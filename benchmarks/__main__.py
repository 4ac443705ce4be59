"""`make bench`: ours and the peers in turn, on the same PostgreSQL (fsync on) and Redis."""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg

from benchmarks.aged import make_aged
from benchmarks.bars import draw_bars
from benchmarks.peers import Couple, Ours, Peer, make_peers
from benchmarks.pgbench import run_pgbench
from benchmarks.rounds import alternate, report
from benchmarks.table import BASELINE, Round, draw_table
from benchmarks.workloads import ACKNOWLEDGED, WORKLOADS
from tests.faults.cluster import Cluster
from tests.faults.services import list_versions

COUPLES = 250
LOG_FILES = 32
"""Of 16 MB each: what some rounds of messages write, and less than what begins a checkpoint by itself."""

SETTINGS = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")


def main() -> None:
    names = [one.name for one in WORKLOADS]
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--couples", type=int, default=COUPLES)
    parser.add_argument("--peers", nargs="+", default=[Ours.name, BASELINE, "plain"])
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="WORKLOAD")
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
    say(await describe_ground(cluster))
    peers = await make_peers(cluster, arguments.peers)
    couples: dict[str, Sequence[Couple]] = {}
    for peer in peers:
        await peer.start(1)
        couples[peer.name] = await peer.prepare(arguments.couples)
        await peer.stop()
    aged: Sequence[Peer] = []
    if "grown" in arguments.only and Ours.name in arguments.peers:
        aged = await make_aged(cluster, arguments.couples)
        couples |= {one.name: couples[Ours.name] for one in aged}
    await wear_in(cluster.postgres.url)
    if BASELINE in arguments.peers:
        say(await run_pgbench(cluster.postgres.url, BASELINE, arguments.seconds))
    played: dict[str, list[Round]] = {}
    try:
        await play([*peers, *aged], couples, cluster, arguments, played)
    finally:
        # Also when a load breaks off: what was measured until then is not lost.
        say(draw_bars(played, arguments.rounds))


async def play(
    peers: Sequence[Peer],
    couples: dict[str, Sequence[Couple]],
    cluster: Cluster,
    arguments: argparse.Namespace,
    played: dict[str, list[Round]],
) -> None:
    """Put everybody to every workload that was asked for, and print its table."""
    for workload in (one for one in WORKLOADS if one.name in arguments.only):
        names = workload.peers or arguments.peers
        able: Sequence[Peer] = [one for one in peers if one.name in names]
        if workload.name == "half":
            nodes = [one for one in able if one.name == BASELINE]
            rate = await find_rate(cluster, nodes, couples, played, arguments.seconds)
            workload = replace(workload, options={"rate": rate})  # noqa: PLW2901 - the same, at a rate
            able = able if rate else []
        if not able:
            report(f"{workload.name}: nobody is here to whom it can be put")
            continue
        rounds = await alternate(
            cluster, able, couples, workload, arguments.rounds, arguments.seconds
        )
        played[workload.name] = rounds
        say(
            draw_table(workload.title, workload.columns, workload.counts, rounds, workload.baseline)
        )


async def find_rate(
    cluster: Cluster,
    nodes: Sequence[Peer],
    couples: dict[str, Sequence[Couple]],
    played: dict[str, list[Round]],
    seconds: float,
) -> int:
    """Half of Node's best rate in this run, or in one round that is run for it; 0 without Node."""
    rounds = [one for one in played.get("chat", []) if one.peer == BASELINE]
    if nodes and not rounds:
        (chat,) = (one for one in WORKLOADS if one.name == "chat")
        rounds = await alternate(cluster, nodes, couples, chat, 1, seconds)
    return round(max(map(ACKNOWLEDGED.read, rounds), default=0.0) / 2)


async def wear_in(url: str) -> None:
    """Let PostgreSQL have files of its log to use again, as one has that has run for a while.

    A new one makes each within somebody's commit, out of zeros, which takes up to 50 ms.
    """
    database = await asyncpg.connect(url)
    await database.execute("CREATE TABLE worn (number int)")
    for number in range(LOG_FILES):
        await database.execute("INSERT INTO worn VALUES ($1)", number)
        await database.execute("SELECT pg_switch_wal()")
    await database.execute("DROP TABLE worn")
    await database.execute("CHECKPOINT")
    await database.close()


async def describe_ground(cluster: Cluster) -> str:
    """On what everybody stands, as PostgreSQL itself says it, in one line."""
    database = await asyncpg.connect(cluster.postgres.url)
    said = [f"{name} {await database.fetchval(f'SHOW {name}')}" for name in SETTINGS]
    await database.close()
    return ", ".join([*list_versions(), *said, f"{os.cpu_count()} cores"])


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the answer of a command


if __name__ == "__main__":
    main()

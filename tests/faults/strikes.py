"""The faults: each does its damage, waits, and has made everything whole when it returns."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.cluster import Cluster, Server
from tests.faults.network import Network
from tests.faults.people import People

CUT_SHARE = 0.3
VANISHING_SHARE = 0.3
FRESH_SHARE = 0.2
MAX_SKEW = 90.0


@dataclass(slots=True)
class Scene:
    """What faults happen to. `pace` stretches or shortens how long they last."""

    cluster: Cluster
    network: Network
    people: People
    rng: random.Random
    pace: float

    async def last(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.pace)

    @property
    def server(self) -> Server:
        return self.rng.choice(self.cluster.servers)


class Stuck(Exception):
    """Something did not come back, or did not go: a finding by itself."""


Strike = Callable[[Scene], Awaitable[None]]


async def kill_instance(scene: Scene) -> None:
    server = scene.server
    await server.process.kill()
    await scene.last(2)
    server.start()
    await server.wait_ready()


async def freeze_instance(scene: Scene) -> None:
    server = scene.server
    server.freeze()
    try:
        await scene.last(10)
    finally:
        server.thaw()
    await server.wait_ready()


async def restart_all(scene: Scene) -> None:
    for server in scene.cluster.servers:
        await _restart(server)


async def shift_clock(scene: Scene) -> None:
    """One instance starts again with another idea of the time."""
    server = scene.server
    offset = round(scene.rng.uniform(-MAX_SKEW, MAX_SKEW), 1)
    await _restart(server, offset)


async def kill_worker(scene: Scene) -> None:
    process = scene.rng.choice(
        [scene.cluster.worker, scene.cluster.worker, scene.cluster.scheduler]
    )
    await process.kill()
    await scene.last(3)
    process.start()


async def kill_redis(scene: Scene) -> None:
    await scene.cluster.redis.kill()
    await scene.last(4)
    await scene.cluster.redis.start()


async def pause_redis(scene: Scene) -> None:
    scene.cluster.redis.freeze()
    try:
        await scene.last(5)
    finally:
        scene.cluster.redis.thaw()


async def restart_postgres(scene: Scene) -> None:
    await scene.cluster.postgres.restart(immediate=scene.rng.random() < 0.5)
    for server in scene.cluster.servers:
        await server.wait_ready()


async def cut_postgres(scene: Scene) -> None:
    for _ in range(3):
        await scene.cluster.postgres.cut_connections()
        await scene.last(0.5)


async def drop_network(scene: Scene) -> None:
    """Every connection breaks, and for a moment there is no new one."""
    scene.network.refusing = True
    scene.network.reset(1.0)
    await scene.last(2)
    scene.network.flow()


async def stall_network(scene: Scene) -> None:
    scene.network.stall()
    await scene.last(6)
    scene.network.flow()


async def split_network(scene: Scene) -> None:
    scene.network.splitting = True
    await scene.last(6)
    scene.network.flow()


async def abort_polls(scene: Scene) -> None:
    """Responses end in their middle."""
    scene.network.cut_share = CUT_SHARE
    await scene.last(6)
    scene.network.flow()


async def vanish_clients(scene: Scene) -> None:
    """Many devices are gone in mid-sentence; some come back with nothing, or of another epoch."""
    for _ in range(3):
        for device in scene.people.devices:
            chance = scene.rng.random()
            if chance < VANISHING_SHARE * FRESH_SHARE:
                await device.forget(wrong_epoch=scene.rng.random() < 0.5)
            elif chance < VANISHING_SHARE:
                await device.drop()
        await scene.last(1)


async def _restart(server: Server, offset: float | None = None) -> None:
    went = await server.stop()
    if offset is not None:
        server.offset = offset
    server.start()
    await server.wait_ready()
    if not went:
        raise Stuck(f"{server.process.name} did not end after SIGTERM")


STRIKES: dict[str, Strike] = {
    "instance_killed": kill_instance,
    "instance_frozen": freeze_instance,
    "rolling_restart": restart_all,
    "worker_killed": kill_worker,
    "redis_killed": kill_redis,
    "redis_paused": pause_redis,
    "postgres_restarted": restart_postgres,
    "postgres_connections_cut": cut_postgres,
    "network_dropped": drop_network,
    "network_stalled": stall_network,
    "network_split": split_network,
    "polls_aborted": abort_polls,
    "clients_vanish": vanish_clients,
    "clock_shifted": shift_clock,
}

PLACES: dict[str, str] = {
    name: name.partition("_")[0].replace("rolling", "instance").replace("clock", "instance")
    for name in STRIKES
} | {"polls_aborted": "network"}
"""Faults at one place do not overlap: one would undo the other."""

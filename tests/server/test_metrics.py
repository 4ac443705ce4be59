"""What Prometheus is told: it follows from what happens, and comes whatever is away."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from sqlalchemy import text

from handlers.accounts.declared import welcome
from handlers.accounts.payloads import Registered
from run import make_runtime
from server import scrape as scraping
from server import sending
from server.context import Context
from server.health import build_metrics_app
from server.runtime import Runtime
from server.settings import Settings
from storage.dead_jobs import DeadJob
from tests.backend import SCALED, Backend
from tests.client import Refused
from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.server.own_redis import OwnRedis
from tests.server.raw import RawPolling, RawSocket
from tests.server.trial import PLACE, signal, start_trial, tell, wait_for_bus, wait_until
from tests.stand_ins.prometheus import Growth, scrape
from tests.stand_ins.waiting import eventually

NOBODY = 10**9


async def add_job(server: Instance) -> None:
    async with Context.open(server.runtime) as ctx:
        ctx.enqueue(welcome, Registered(user_id=NOBODY))


async def test_sockets_are_counted_by_transport_and_namespace(
    kernel: Instance, person: Person
) -> None:
    quick = await kernel.connect(person, PLACE, "/chat")
    slow = await kernel.connect(person, PLACE, transports=("polling",))

    found = await scrape(kernel.url)
    assert found.get("emotrack_connections", transport="websocket") == 1
    assert found.get("emotrack_connections", transport="polling") == 1
    assert found.get("emotrack_sockets", namespace=PLACE) == 2
    assert found.get("emotrack_sockets", namespace="/chat") == 1

    await quick.close()
    await slow.close()

    async def are_gone() -> bool:
        now = await scrape(kernel.url)
        return not now.get("emotrack_sockets", namespace=PLACE) and not sum(
            now.get("emotrack_connections", transport=transport)
            for transport in ("websocket", "polling")
        )

    await eventually(are_gone, "nobody is there any more")


async def test_names_that_clients_make_up_become_no_labels(
    kernel: Instance, person: Person
) -> None:
    async with RawSocket.open(kernel.url) as socket:
        await socket.send('40/made-up,{"token":"x"}')
        await socket.wait_for("4/made-up,")
        await socket.join(PLACE, person.token)
        await socket.ask(PLACE, 1, "made:up", "{}")
    await kernel.request("POST", "/events/made-up/made:up", {}, token=person.token)
    await kernel.request("GET", "/made-up")

    found = await scrape(kernel.url)

    labels = {value for _, pairs in found.series for _, value in pairs}
    assert not [value for value in labels if "made" in value]


async def test_answers_are_counted_and_timed_by_event(kernel: Instance, person: Person) -> None:
    growth = await Growth.begin(kernel.url)
    client = await kernel.connect(person, PLACE)
    name = f"{PLACE} echo:get"

    await client.ask("echo:get", {"number": 1}, namespace=PLACE)
    with pytest.raises(Refused):
        await client.ask("echo:get", {"number": "one"}, namespace=PLACE)

    assert await growth.of("emotrack_calls_total", name=name, outcome="ok") == 1
    assert await growth.of("emotrack_calls_total", name=name, outcome="invalid") == 1
    assert await growth.of("emotrack_call_seconds_count", name=name) == 2


async def test_requests_over_a_limit_are_counted_by_limit(backend: Backend) -> None:
    async with start_trial(backend, rate_limit_scale=1) as strict:
        growth = await Growth.begin(strict.url)
        client = await strict.connect(await strict.add_person(), PLACE)
        for _ in range(2):
            await client.ask("thing:rare", {}, namespace=PLACE)
        with pytest.raises(Refused):
            await client.ask("thing:rare", {}, namespace=PLACE)

        limit = f"{PLACE} thing:rare"
        assert await growth.of("emotrack_rate_limited_total", limit=limit) == 1


async def test_deliveries_replays_and_resets_are_counted(kernel: Instance, person: Person) -> None:
    growth = await Growth.begin(kernel.url)
    await tell(kernel, [person], 1, 2, 3)
    client = await kernel.connect(person, PLACE, after=1)
    await client.wait_for_seq(3, namespace=PLACE)
    await tell(kernel, [person], 4)
    await signal(kernel, [person], 5)
    await client.wait_for("thing:moved", namespace=PLACE)
    ahead = await kernel.connect(person, PLACE, after=99)
    await ahead.wait_for("stream:ready", namespace=PLACE)

    assert await growth.of("emotrack_delivered_total", kind="replayed") == 2
    assert await growth.of("emotrack_delivered_total", kind="live") == 1
    assert await growth.of("emotrack_delivered_total", kind="signal") == 1
    assert await growth.of("emotrack_delivery_lag_seconds_count") == 1
    assert await growth.of("emotrack_catch_ups_total", cause="join") == 1
    assert await growth.of("emotrack_catch_up_rows_sum") == 2
    assert await growth.of("emotrack_catch_up_seconds_count") == 1
    assert await growth.of("emotrack_resets_total") == 1


async def test_slow_clients_are_counted_among_the_refused(
    kernel: Instance, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_QUEUED_PACKETS", 50)
    growth = await Growth.begin(kernel.url)
    async with ClientSession() as session, RawPolling(session, kernel.url) as polling:
        await polling.join(PLACE, person.token)
        await tell(kernel, [person], *range(60))

    assert await growth.of("emotrack_refused_total", reason="too_slow") == 1


@pytest.mark.scaled
async def test_the_bus_is_watched(backend: Backend, tmp_path: Path) -> None:
    redis = OwnRedis(tmp_path)
    await redis.start()
    own = Backend(backend.database_url, redis.url, backend.data_dir)
    async with start_trial(own) as one, start_trial(own) as two:
        await wait_for_bus(one, two)
        growth = await Growth.begin(one.url)
        assert (await scrape(one.url)).get("emotrack_bus_healthy") == 1
        person = await one.add_person()
        client = await two.connect(person, PLACE)
        await tell(one, [person], 1)
        await client.wait_for_seq(1, namespace=PLACE)
        assert await growth.of("emotrack_bus_received_total") >= 1
        assert await growth.of("emotrack_bus_published_total") >= 1

        await redis.kill()
        await tell(one, [person], 2)

        async def is_lost() -> bool:
            return await growth.of("emotrack_bus_lost_total") >= 1

        async def is_unhealthy() -> bool:
            return (await scrape(one.url)).get("emotrack_bus_healthy") == 0

        await eventually(is_lost, "a lost message")
        await eventually(is_unhealthy, "an unhealthy bus")


async def test_jobs_are_counted_and_timed(start: StartInstance) -> None:
    server = await start()
    growth = await Growth.begin(server.url)
    await add_job(server)

    async def is_done() -> bool:
        return await growth.of("emotrack_jobs_total", name=welcome.name, outcome="ok") == 1

    await eventually(is_done, "a job")
    assert await growth.of("emotrack_job_seconds_count", name=welcome.name) == 1
    assert await growth.of("emotrack_job_lag_seconds_count", queue="general") >= 1

    async def is_idle() -> bool:
        return (await scrape(server.url)).get("emotrack_jobs_running", queue="general") == 0

    await eventually(is_idle, "a worker that rests")


async def test_what_waits_and_what_is_dead_is_read_at_the_time(start: StartInstance) -> None:
    server = await start(jobs=False)
    before = server.runtime.clock()
    for _ in range(2):
        await add_job(server)
    async with Context.open(server.runtime) as ctx:
        ctx.db.add(
            DeadJob(
                id=NOBODY,
                job=welcome.name,
                queue=welcome.queue,
                payload="{}",
                request_id="",
                attempts=12,
                error="KeyError",
                died_at=ctx.now,
            )
        )
    server.runtime.clock = lambda: before.replace(year=before.year + 1)

    found = await scrape(server.url)

    assert found.get("emotrack_jobs_due", queue="general") == 2
    assert found.get("emotrack_jobs_due", queue="mail") == 0
    assert found.get("emotrack_oldest_job_seconds", queue="general") > 300 * 24 * 3600
    assert found.get("emotrack_dead_jobs") == 1
    assert found.get("emotrack_database_up") == 1


async def test_an_exhausted_pool_is_seen_and_does_not_hold_up_the_scrape(
    kernel: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scraping, "PATIENCE", 0.2)
    name = "writer" if SCALED else "reader"
    pool = kernel.runtime.database.pools[name]
    await scrape(kernel.url)
    async with AsyncExitStack() as stack:
        for _ in range(pool.size()):
            db = await stack.enter_async_context(kernel.runtime.database.session(write=False))
            await db.execute(text("SELECT 1"))
        begun = time.monotonic()
        found = await scrape(kernel.url)
        assert time.monotonic() - begun < scraping.PATIENCE + 2

    assert found.get("emotrack_pool_taken", pool=name) == pool.size()
    assert found.get("emotrack_pool_size", pool=name) == pool.size()
    assert found.get("emotrack_database_up") == 0
    assert not found.has("emotrack_jobs_due")
    assert math.isnan(found.get("emotrack_dead_jobs"))


async def test_tasks_that_wait_for_a_connection_are_counted(kernel: Instance) -> None:
    pool = kernel.runtime.database.pools["writer"]
    async with AsyncExitStack() as stack:
        for _ in range(pool.size()):
            db = await stack.enter_async_context(kernel.runtime.database.session(write=True))
            await db.execute(text("SELECT 1"))
        waiting = asyncio.create_task(kernel.add_person())
        await wait_until(lambda: pool.waiting == 1, "somebody waits")
    await waiting
    assert pool.waiting == 0


async def test_a_blocked_event_loop_is_noticed(kernel: Instance) -> None:
    growth = await Growth.begin(kernel.url)

    until = time.monotonic() + 1.2 * scraping.LOOP_EVERY
    while time.monotonic() < until:
        pass

    async def is_noticed() -> bool:
        return await growth.of("emotrack_loop_lag_seconds_sum") > 0.05

    await eventually(is_noticed, "a late event loop")


@pytest.fixture
async def lost(tmp_path: Path) -> AsyncIterator[Runtime]:
    """The runtime of a process whose database is not there."""
    settings = Settings(
        _env_file=None, database_url="postgresql://nobody@127.0.0.1:1/none", data_dir=tmp_path
    )
    runtime = make_runtime(settings)
    yield runtime
    await runtime.close()


async def test_a_process_without_sockets_tells_of_itself_although_its_database_is_away(
    lost: Runtime,
) -> None:
    runner = web.AppRunner(build_metrics_app(lost), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        found = await scrape(url)
        async with ClientSession() as session, session.get(f"{url}/health/live") as response:
            assert await response.json() == {"status": "alive"}
    finally:
        await runner.cleanup()

    assert found.get("emotrack_database_up") == 0
    assert found.get("process_resident_memory_bytes") > 0

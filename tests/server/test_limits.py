"""Rate limits: each person their own, every queue bounded, and a door that never falls shut."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from server import dispatch
from server.context import Context
from server.errors import RateLimited
from server.limits import Rate
from tests.backend import Backend
from tests.client import Refused
from tests.instance import Instance, Person
from tests.server.raw import RawSocket, event_packet
from tests.server.trial import PLACE, start_trial


@pytest.fixture
async def strict(backend: Backend) -> AsyncIterator[Instance]:
    async with start_trial(backend, rate_limit_scale=1) as server:
        yield server


async def codes(server: Instance, person: Person, times: int) -> list[str]:
    client = await server.connect(person, PLACE)
    found = []
    for _ in range(times):
        try:
            await client.ask("thing:rare", {}, namespace=PLACE)
            found.append("ok")
        except Refused as refused:
            found.append(refused.code)
    return found


async def test_who_asks_too_often_is_told_when_to_come_back(strict: Instance) -> None:
    eager, calm = await strict.add_person(), await strict.add_person()
    assert await codes(strict, eager, 4) == ["ok", "ok", "rate_limited", "rate_limited"]
    assert await codes(strict, calm, 2) == ["ok", "ok"]
    assert await codes(strict, eager, 1) == ["rate_limited"], "another connection is no way round"
    client = await strict.connect(eager, PLACE)
    with pytest.raises(Refused) as refused:
        await client.ask("thing:rare", {}, namespace=PLACE)
    assert refused.value.error["retryable"] is True
    assert 1 <= refused.value.error["retry_after"] <= 60
    assert (await client.ask("echo:get", {}, namespace=PLACE))["text"] == ""


async def test_http_shares_the_limits_of_the_socket(strict: Instance) -> None:
    person = await strict.add_person()
    assert await codes(strict, person, 2) == ["ok", "ok"]
    status, body = await strict.request(
        "POST", f"/events{PLACE}/thing:rare", {}, token=person.token
    )
    assert (status, body["error"]["code"]) == (429, "rate_limited")


async def test_invalid_requests_count_too(strict: Instance) -> None:
    person = await strict.add_person()
    async with RawSocket.open(strict.url) as socket:
        await socket.join(PLACE, person.token)
        answers = [await socket.ask(PLACE, ack, "thing:rare", "5") for ack in range(3)]
    assert [a["error"]["code"] for a in answers] == ["invalid", "invalid", "rate_limited"]


async def test_refreshing_is_limited(strict: Instance) -> None:
    person = await strict.add_person()
    async with RawSocket.open(strict.url) as socket:
        await socket.join(PLACE, person.token)
        body = f'{{"token":"{person.token}"}}'
        answers = [await socket.ask(PLACE, n, "token:refresh", body) for n in range(21)]
    assert [("data" in answer) for answer in answers] == [True] * 20 + [False]
    assert answers[-1]["error"]["code"] == "rate_limited"


async def test_the_scale_multiplies_every_limit(backend: Backend) -> None:
    async with start_trial(backend, rate_limit_scale=2) as server:
        assert await codes(server, await server.add_person(), 5) == ["ok"] * 4 + ["rate_limited"]
    async with start_trial(backend, rate_limit_scale=0) as server:
        assert await codes(server, await server.add_person(), 5) == ["ok"] * 5


async def test_more_than_may_wait_is_refused_and_all_else_answered(
    kernel: Instance, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "MAX_TURNS", 20)
    async with RawSocket.open(kernel.url) as socket:
        await socket.join(PLACE, person.token)
        for ack in range(200):
            await socket.send(event_packet(PLACE, "slow:get", f'{{"number":{ack}}}', ack=ack))
        answers = [await socket.answer(PLACE, ack) for ack in range(200)]
    refused = [a["error"]["code"] for a in answers if "error" in a]
    assert 0 < len(refused) < 200
    assert set(refused) == {"rate_limited"}


@pytest.mark.scaled
async def test_what_attackers_repeat_is_counted_over_all_instances(backend: Backend) -> None:
    rate = Rate(3, per=60)
    async with (
        start_trial(backend, rate_limit_scale=1) as one,
        start_trial(backend, rate_limit_scale=1) as two,
    ):
        for server in (one, two, one):
            async with Context.open(server.runtime) as ctx:
                await ctx.throttle(rate, "guess", "somebody")
        for server in (one, two):
            async with Context.open(server.runtime) as ctx:
                with pytest.raises(RateLimited):
                    await ctx.throttle(rate, "guess", "somebody")
                await ctx.throttle(rate, "guess", "somebody else")


@pytest.mark.scaled
async def test_without_redis_an_instance_counts_for_itself(backend: Backend) -> None:
    async with start_trial(
        Backend(backend.database_url, "redis://127.0.0.1:1/0", backend.data_dir),
        rate_limit_scale=1,
    ) as server:
        async with Context.open(server.runtime) as ctx, asyncio.timeout(5):
            await ctx.throttle(Rate(1, per=60), "guess")
            with pytest.raises(RateLimited):
                await ctx.throttle(Rate(1, per=60), "guess")
        person = await server.add_person()
        assert await codes(server, person, 3) == ["ok", "ok", "rate_limited"]

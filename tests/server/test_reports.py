"""What Sentry is told of an error: what and where, by which request; never what people wrote."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from handlers.accounts.declared import welcome
from server.context import Context
from server.reports import build_report
from server.settings import Settings
from storage.outbox import Job
from tests.backend import SCALED
from tests.client import Refused
from tests.command import Shell
from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.server.trial import DETAIL, PLACE, SECRET_TEXT
from tests.stand_ins.journal import Journal, open_journal
from tests.stand_ins.sentry import SentryStandIn, run_sentry

BREAK = f"{PLACE} thing:break"


@pytest.fixture
async def sentry() -> AsyncIterator[SentryStandIn]:
    async with run_sentry() as sentry:
        yield sentry


@pytest.fixture
def journal(sentry: SentryStandIn) -> Iterator[Journal]:
    report = build_report(Settings(_env_file=None, sentry_dsn=sentry.dsn))
    with open_journal(report) as journal:
        yield journal


async def fail(kernel: Instance, person: Person, times: int = 1) -> None:
    client = await kernel.connect(person, PLACE)
    for _ in range(times):
        with pytest.raises(Refused) as refusal:
            await client.ask("thing:break", {"user_ids": [], "text": SECRET_TEXT}, namespace=PLACE)
        assert refusal.value.code == "internal"


async def add_poison(server: Instance) -> None:
    """A job at its last attempt, whose payload its function cannot read."""
    async with Context.open(server.runtime) as ctx:
        ctx.db.add(
            Job(
                job=welcome.name,
                queue=welcome.queue,
                payload=f'{{"user_id":"{SECRET_TEXT}"}}',
                request_id="the-request-it-came-of",
                due_at=ctx.now,
                wake_at=ctx.now,
                failures=11,
            )
        )


def assert_silent(sentry: SentryStandIn) -> None:
    everything = "".join(sentry.bodies)
    assert SECRET_TEXT not in everything
    assert DETAIL not in everything


async def test_an_internal_error_is_reported_by_kind_place_and_request(
    kernel: Instance, person: Person, sentry: SentryStandIn, journal: Journal
) -> None:
    await fail(kernel, person)

    (event,) = await sentry.wait_for(1)
    (line,) = journal.find("call.failed", call=BREAK)
    assert event["tags"]["request_id"] == line["request_id"]
    assert (event["tags"]["call"], event["transaction"]) == (BREAK, BREAK)
    assert (event["level"], event["environment"]) == ("error", "development")
    (error,) = event["exception"]["values"]
    assert (error["type"], error["module"]) == ("RuntimeError", "builtins")
    frames = error["stacktrace"]["frames"]
    assert frames[-1]["function"] == "break_after_push"
    assert [frame["function"] for frame in frames].index("guarded") == 0
    assert any(frame["module"] == "server.calls" and frame["in_app"] for frame in frames)
    assert set().union(*frames) == {"module", "function", "filename", "lineno", "in_app"}
    assert not {"request", "user", "breadcrumbs", "extra", "modules"} & set(event)
    assert_silent(sentry)


async def test_each_error_is_reported_once(
    kernel: Instance, person: Person, sentry: SentryStandIn, journal: Journal
) -> None:
    await fail(kernel, person, times=3)

    events = await sentry.wait_for(3)

    reported = [event["tags"]["request_id"] for event in events]
    logged = [line["request_id"] for line in journal.find("call.failed")]
    assert reported == logged
    assert len(set(reported)) == 3


async def test_what_is_refused_or_unavailable_is_not_reported(
    kernel: Instance, person: Person, sentry: SentryStandIn, journal: Journal
) -> None:
    client = await kernel.connect(person, PLACE)
    for event in ("no:such", "thing:guard", "echo:get"):
        with pytest.raises(Refused):
            await client.ask(event, {"number": SECRET_TEXT}, namespace=PLACE)
    await fail(kernel, person)

    await sentry.wait_for(1)
    assert [event["transaction"] for event in sentry.events] == [BREAK]


async def test_an_error_that_was_caused_by_another_shows_both(
    sentry: SentryStandIn, journal: Journal
) -> None:
    report = build_report(Settings(_env_file=None, sentry_dsn=sentry.dsn))
    assert report is not None
    try:
        try:
            int(SECRET_TEXT)
        except ValueError as cause:
            raise RuntimeError(DETAIL) from cause
    except RuntimeError as error:
        report({"event": "call.failed", "level": "error"}, error)

    (event,) = await sentry.wait_for(1)
    kinds = [value["type"] for value in event["exception"]["values"]]
    assert kinds == ["ValueError", "RuntimeError"]
    assert_silent(sentry)


async def test_a_dead_job_is_reported_by_the_process_that_gave_it_up(
    start: StartInstance, shell: Shell, sentry: SentryStandIn
) -> None:
    server = await start(jobs=False)
    await add_poison(server)
    variables = {"SENTRY_DSN": sentry.dsn}
    async with AsyncExitStack() as stack:
        if SCALED:
            await stack.enter_async_context(shell.start("scheduler", variables=variables))
            await stack.enter_async_context(shell.start("worker", variables=variables))
        else:
            await stack.enter_async_context(shell.serve(variables))
        (event,) = await sentry.wait_for(1)

    assert event["tags"]["job"] == event["transaction"] == welcome.name
    assert event["tags"]["request_id"] == "the-request-it-came-of"
    assert event["tags"]["event"] == "job.dead"
    assert [one["type"] for one in event["exception"]["values"]] == ["ValidationError"]
    assert_silent(sentry)


async def test_without_a_dsn_nothing_is_reported() -> None:
    assert build_report(Settings(_env_file=None)) is None

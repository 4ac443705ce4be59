"""Statements that go to the driver: in the session's transaction, and with nothing lost on the way."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import JSON, FromClause, String, Uuid, select, text
from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_connection,
    AsyncAdapt_asyncpg_dbapi,
)
from sqlalchemy.types import TypeEngine

from server.runtime import Runtime
from storage.database import is_unavailable, should_retry
from storage.events import Push, append_events
from storage.many import INT, TEXT, Bound, Many, carry_out
from storage.schema import Moment
from tests.instance import Instance

ODD = ["", " ", "NULL", "null", "a,b", "{}", '"', "\\", '\\"', "ü🙂", "a\nb", "'; --", '{a,"b"}']

ECHO: dict[str, tuple[TypeEngine[Any], list[Any]]] = {
    "number": (INT, [0, -1, 2**62, None]),
    "text": (TEXT, [*ODD, None]),
    "name": (String(40), ODD),
    "moment": (Moment(), [datetime.now(UTC), datetime(1900, 1, 1, tzinfo=UTC), None]),
}


def echo(kind: TypeEngine[Any]) -> Many:
    def build(given: FromClause) -> Any:
        return select(given.c.place, given.c.value).order_by(given.c.place)

    return Many(build, place=INT, value=kind)


def test_the_names_that_are_used_of_sqlalchemy() -> None:
    """It is told here when an upgrade moves them."""
    assert "_transaction" in AsyncAdapt_asyncpg_connection.__slots__
    assert callable(AsyncAdapt_asyncpg_connection._start_transaction)


@pytest.fixture
def runtime(server: Instance) -> Runtime:
    return server.runtime


@pytest.mark.parametrize("name", ["number", "text", "name"])
async def test_values_come_back_as_they_went(runtime: Runtime, name: str) -> None:
    kind, values = ECHO[name]
    async with runtime.database.session(write=False) as db:
        rows = await echo(kind).run(db, list(enumerate(values)))
    assert [row.value for row in rows] == values


async def test_moments_and_refs_come_back_as_they_went(runtime: Runtime) -> None:
    if runtime.database.is_sqlite:
        # Its JSON knows neither.
        return
    refs = [uuid4(), uuid4()]
    async with runtime.database.session(write=False) as db:
        rows = await echo(ECHO["moment"][0]).run(db, list(enumerate(ECHO["moment"][1])))
        assert [row.value for row in rows] == ECHO["moment"][1]
        found = await echo(Uuid()).run(db, list(enumerate(refs)))
        assert [row.value for row in found] == refs
        things = await echo(JSON()).run(db, [(0, {"a": ODD})])
        assert [row.value for row in things] == [{"a": ODD}]


async def test_several_statements_each_return_their_rows(runtime: Runtime) -> None:
    async with runtime.database.session(write=False) as db:
        numbers, nothing, texts = await carry_out(
            db,
            [
                Bound(echo(INT), [(0, 7), (1, 8)]),
                Bound(echo(INT), []),
                Bound(echo(TEXT), [(0, '"')]),
            ],
        )
    assert [row.value for row in numbers] == [7, 8]
    assert list(nothing) == []
    assert [row.value for row in texts] == ['"']


async def test_what_is_not_committed_is_taken_back(runtime: Runtime, server: Instance) -> None:
    person = await server.add_person()
    push = Push(person.id, "/test", "thing:added", "{}")
    async with runtime.database.session(write=True) as db:
        (heads,) = await carry_out(db, [append_events([push], datetime.now(UTC))])
        assert [tuple(head) for head in heads] == [(person.id, "/test", 1)]
    async with runtime.database.session(write=False) as db:
        left = await db.execute(text("SELECT 1 FROM event_log WHERE namespace = '/test'"))
        assert left.all() == []


async def test_errors_of_the_driver_are_known(runtime: Runtime) -> None:
    if runtime.database.is_sqlite:
        return
    fail = Many(lambda given: select(text("1 / 0")).select_from(given), number=INT)
    async with runtime.database.session(write=False) as db:
        with pytest.raises(Exception, match="division by zero") as raised:
            await fail.run(db, [(1,)])
    assert not should_retry(raised.value)


@pytest.mark.parametrize("said", [asyncpg.InternalClientError, asyncpg.InterfaceError])
def test_a_connection_that_is_lost_is_known_by_what_the_driver_and_sqlalchemy_say(
    said: type[Exception],
) -> None:
    adapter: Any = AsyncAdapt_asyncpg_dbapi(asyncpg)  # type: ignore[no-untyped-call]  # SQLAlchemy's
    translated = adapter._asyncpg_error_translate[said]

    assert is_unavailable(said("lost"))
    assert is_unavailable(translated("lost"))

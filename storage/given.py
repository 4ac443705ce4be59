"""Rows that come with a statement, to be joined to: one text and one plan, however many they are."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, FromClause, Text, cast, column, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine

_TYPES: dict[type, type[TypeEngine[Any]]] = {int: BigInteger, str: Text}


def given(
    db: AsyncSession, rows: Sequence[tuple[int | str, ...]], /, **columns: type[int] | type[str]
) -> FromClause:
    """The rows as a table of these columns: arrays on PostgreSQL, a JSON text on SQLite."""
    if db.get_bind().dialect.name == "sqlite":
        value = func.json_each(json.dumps(rows)).table_valued("value").c.value
        return select(
            *(
                cast(func.json_extract(value, f"$[{place}]"), _TYPES[kind]()).label(name)
                for place, (name, kind) in enumerate(columns.items())
            )
        ).subquery("given")
    arrays = [
        cast(literal([row[place] for row in rows], ARRAY(_TYPES[kind])), ARRAY(_TYPES[kind]))
        for place, kind in enumerate(columns.values())
    ]
    typed = [column(name, _TYPES[kind]) for name, kind in columns.items()]
    return func.unnest(*arrays).table_valued(*typed, name="given").render_derived()

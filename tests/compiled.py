"""Statements are compiled once for all servers of a test process, as in one that lives for long."""

from typing import Any

from sqlalchemy.util import LRUCache

from storage.database import Database

CAPACITY = 5000


class _Compiled(LRUCache[Any, Any]):
    """By the kind of dialect: SQLAlchemy tells apart the dialects of any two engines."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_of_kind(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_of_kind(key), value)


_COMPILED = _Compiled(CAPACITY)


def share_compiled(database: Database) -> None:
    for engine in {database.writer, database.reader}:
        engine.update_execution_options(compiled_cache=_COMPILED)


def _of_kind(key: Any) -> Any:
    dialect, *rest = key
    return (type(dialect), *rest)

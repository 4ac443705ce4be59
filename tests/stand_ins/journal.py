"""The log as operators' tools read it: one JSON object a line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import structlog

from server.log import Report, configure_logging

Line = dict[str, Any]


class Journal:
    """Everything logged since it was opened."""

    def __init__(self, written: StringIO) -> None:
        self._written = written

    def find(self, event: str, **values: Any) -> list[Line]:
        """The lines of this name with these values."""
        lines = [json.loads(line) for line in self._written.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event and values.items() <= line.items()]


@contextmanager
def open_journal(report: Report | None = None) -> Iterator[Journal]:
    written = StringIO()
    with redirect_stderr(written):
        configure_logging("DEBUG", as_json=True, report=report)
    try:
        yield Journal(written)
    finally:
        structlog.reset_defaults()

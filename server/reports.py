"""Errors reported to Sentry: of what kind and where, as in the log, never what people wrote.

A report is made here by hand, because the SDK's own brings along what must not leave: messages,
which quote, local variables, and lines of source.
"""

import atexit
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from server.log import Report
from server.settings import Settings

if TYPE_CHECKING:
    from sentry_sdk import Client
    from sentry_sdk.types import Event

TAGS = ("event", "source", "call", "job", "job_id", "request_id", "reason")
"""What a report takes from the line in the log."""

OURS = ("handlers", "jobs", "server", "storage")
MAX_CAUSES = 10
MAX_FRAMES = 100


def build_report(settings: Settings) -> Report | None:
    """The way to Sentry, if there is one."""
    dsn = settings.sentry_dsn.get_secret_value()
    if not dsn:
        return None
    client = _connect(dsn, settings.environment)
    atexit.register(client.close)

    def report(line: Mapping[str, Any], error: BaseException | None) -> None:
        client.capture_event(_describe(line, error))

    return report


def _connect(dsn: str, environment: str) -> "Client":
    # Imported where it is asked for: it takes a while.
    from sentry_sdk import Client  # noqa: PLC0415

    return Client(
        dsn=dsn,
        environment=environment,
        in_app_include=list(OURS),
        # Whatever it would find out by itself might be about somebody.
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        max_breadcrumbs=0,
        send_client_reports=False,
    )


def _describe(line: Mapping[str, Any], error: BaseException | None) -> "Event":
    tags = {name: str(line[name]) for name in TAGS if name in line}
    event: Event = {
        "level": line["level"],
        "logger": line.get("source", ""),
        "message": line["event"],
        "transaction": tags.get("call") or tags.get("job") or "",
        "tags": tags,
    }
    if error is not None:
        # Sentry wants the cause first and what was raised last.
        values = [_describe_error(one) for one in _list_causes(error)][::-1]
        event["exception"] = {"values": values}
    return event


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    cause: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if cause is None:
            return
        yield cause
        implied = None if cause.__suppress_context__ else cause.__context__
        cause = cause.__cause__ or implied


def _describe_error(error: BaseException) -> dict[str, Any]:
    frames = [*_list_frames(error.__traceback__)][-MAX_FRAMES:]
    kind = type(error)
    return {
        "type": kind.__name__,
        "module": kind.__module__,
        "stacktrace": {"frames": frames},
    }


def _list_frames(trace: TracebackType | None) -> Iterator[dict[str, Any]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        yield {
            "module": trace.tb_frame.f_globals.get("__name__"),
            "function": code.co_qualname,
            "filename": code.co_filename,
            "lineno": trace.tb_lineno,
        }
        trace = trace.tb_next

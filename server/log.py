"""Structured logs. Secrets and what people write never reach a line."""

import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRET = frozenset(
    {
        "address",
        "answer",
        "authorization",
        "code",
        "contacts",
        "cookie",
        "data",
        "email",
        "name",
        "note",
        "password",
        "payload",
        "refresh_token",
        "request",
        "secret",
        "text",
        "token",
        "url",
    }
)


Report = Callable[[Mapping[str, Any], BaseException | None], None]
"""Told of every line that is an error: the line, and what was raised, if anything."""


_least = {"level": logging.DEBUG}


def is_debugging() -> bool:
    """Whether lines of level debug are written. To ask costs less than a line that is not."""
    return _least["level"] <= logging.DEBUG


def configure_logging(level: str, *, as_json: bool, report: Report | None = None) -> None:
    _least["level"] = logging.getLevelNamesMapping()[level]
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            *([reporting(report)] if report else []),
            show_trace,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Library()], force=True)


class _Library(logging.Handler):
    """What libraries log: where and of what kind, never the finished text, which may quote."""

    def emit(self, record: logging.LogRecord) -> None:
        template = str(record.msg) if record.args else ""
        error = record.exc_info[1] if record.exc_info else None
        get_logger(record.name).log(record.levelno, "library", template=template, exc_info=error)


def get_logger(name: str) -> Any:
    return structlog.get_logger(source=name)


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Blank the values under keys that may hold secrets or personal text, at any depth."""
    return {key: _clean(key, value) for key, value in event.items()}


def reporting(report: Report) -> Processor:
    def process(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if event["level"] in ("error", "critical"):
            report(event, _find_error(event.get("exc_info")))
        return event

    return process


def show_trace(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Where an error came from. Its message is left out: drivers quote what people wrote."""
    error = _find_error(event.pop("exc_info", None))
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        event["error"] = type(error).__name__
        event["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def _find_error(given: Any) -> BaseException | None:
    """What `exc_info` means: an exception, or True for the one that is being handled."""
    error = sys.exc_info()[1] if given is True else given
    return error if isinstance(error, BaseException) else None


def _clean(key: str, value: Any) -> Any:
    if key.lower() in _SECRET:
        return "[redacted]"
    if isinstance(value, dict):
        return {inner: _clean(str(inner), part) for inner, part in value.items()}
    return value

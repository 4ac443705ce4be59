"""Structured logs. Secrets and what people write never reach a line."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

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


def configure_logging(level: str, *, as_json: bool) -> None:
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> Any:
    return structlog.get_logger(source=name)


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Blank the values under keys that may hold secrets or personal text, at any depth."""
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if key.lower() in _SECRET:
        return "[redacted]"
    if isinstance(value, dict):
        return {inner: _clean(str(inner), part) for inner, part in value.items()}
    return value

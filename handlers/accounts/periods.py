"""A period of time, in somebody's own days."""

from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, WithJsonSchema
from pydantic import Field as Bounds

from server.errors import Invalid
from server.payload import Payload

FIRST_YEAR, LAST_YEAR = 1900, 2200
ONE_DAY = timedelta(days=1)
_DAY = len("2026-11-01")


def begin_day(day: date, time_zone: str) -> datetime:
    """The first moment of a day, there."""
    return datetime.combine(day, time(), ZoneInfo(time_zone))


def _read(value: object) -> object:
    if not isinstance(value, str):
        return value
    bound = date.fromisoformat(value) if len(value) == _DAY else datetime.fromisoformat(value)
    if isinstance(bound, datetime) and bound.tzinfo is None:
        raise ValueError("a time needs its offset from UTC")
    if not FIRST_YEAR <= bound.year <= LAST_YEAR:
        raise ValueError(f"the year must be between {FIRST_YEAR} and {LAST_YEAR}")
    return bound


def _read_day(value: object) -> object:
    return _read(value) if isinstance(value, str) and len(value) == _DAY else value


Day = Annotated[date, BeforeValidator(_read_day), Bounds(examples=["2026-11-01"])]
"""A day, as a calendar there shows it."""

Bound = Annotated[
    date | datetime,
    BeforeValidator(_read),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date"},
                {"type": "string", "format": "date-time"},
            ],
            "examples": ["2026-11-01"],
        }
    ),
]
"""A day, whole, or a point in time."""


class Period(Payload):
    """From and to: days, both included, or points in time, the last one excluded."""

    from_: Annotated[Bound | None, Bounds(alias="from")] = None
    to: Bound | None = None

    def bounds(self, time_zone: str) -> tuple[datetime | None, datetime | None]:
        """The first moment, and the first one after; days are those of this time zone.

        Raises: Invalid.
        """
        starts, ends = self.from_, self.to
        first = None if starts is None else _begin(starts, time_zone)
        if ends is not None and not isinstance(ends, datetime):
            ends += ONE_DAY
        last = None if ends is None else _begin(ends, time_zone)
        if first and last and first >= last:
            raise Invalid.of("to", "before_from", "The end must come after the beginning")
        return first, last


def _begin(bound: date | datetime, time_zone: str) -> datetime:
    return bound if isinstance(bound, datetime) else begin_day(bound, time_zone)

"""Periods of time, in somebody's own days."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Discriminator, Tag, ValidationInfo, field_validator
from pydantic import Field as Bounds
from pydantic_core import PydanticCustomError

from server.payload import Date, Moment, Payload

ONE_DAY = timedelta(days=1)
_DAY = len("2026-11-01")


def begin_day(day: date, time_zone: str) -> datetime:
    """The first moment of a day, there."""
    return datetime.combine(day, time(), ZoneInfo(time_zone))


def check_order(end: Any, info: ValidationInfo) -> Any:
    """For the later end of a period; two of a kind can be told to be in order at once."""
    start = info.data.get("start")
    if start is not None and end is not None and type(end) is type(start) and end < start:
        raise PydanticCustomError("before_from", "The end is before the beginning")
    return end


class Days(Payload, serialize_by_alias=True):
    """From one local date to another, both included."""

    start: Annotated[Date, Bounds(alias="from", examples=["2026-11-01"])]
    end: Annotated[Date, Bounds(alias="to", examples=["2026-11-30"])]

    _check_order = field_validator("end")(check_order)

    def bounds(self, time_zone: str) -> tuple[datetime, datetime]:
        """The first moment of the period and the first one after it, where days are these."""
        return begin_day(self.start, time_zone), begin_day(self.end + ONE_DAY, time_zone)


def _tell_apart(value: Any) -> str:
    return "day" if isinstance(value, str) and len(value) == _DAY else "moment"


Bound = Annotated[
    Annotated[Date, Tag("day")] | Annotated[Moment, Tag("moment")], Discriminator(_tell_apart)
]
"""A day, whole, or a point in time."""


class Period(Payload):
    """From and to, if they are given: days, both included, or moments, the last one excluded."""

    start: Annotated[Bound | None, Bounds(alias="from", examples=["2026-11-01"])] = None
    end: Annotated[Bound | None, Bounds(alias="to", examples=["2026-11-30"])] = None

    _check_order = field_validator("end")(check_order)

    def bounds(self, time_zone: str) -> tuple[datetime | None, datetime | None]:
        """The first moment, and the first one after; days are those of this time zone."""
        start, end = self.start, self.end
        if end is not None and not isinstance(end, datetime):
            end += ONE_DAY
        return _begin(start, time_zone), _begin(end, time_zone)


def _begin(bound: date | datetime | None, time_zone: str) -> datetime | None:
    if bound is None or isinstance(bound, datetime):
        return bound
    return begin_day(bound, time_zone)

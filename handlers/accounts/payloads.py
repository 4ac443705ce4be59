"""What accounts look like on the wire."""

from enum import StrEnum
from typing import Annotated, Literal, cast
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    EmailStr,
    Strict,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic import Field as Bounds
from pydantic_core import PydanticCustomError

from handlers.accounts.person import link_avatar
from handlers.uploads import Link
from server.payload import Change, Id, Instant, Line, PageRequest, Payload
from storage import accounts
from storage.accounts import Role, Status

MAX_PASSWORD = 72
"""bcrypt looks at no more bytes than this."""


_TIME_ZONES = frozenset(available_timezones())


def _lower(email: str) -> str:
    return email.lower()


def _known_zone(name: str) -> str:
    if name not in _TIME_ZONES:
        raise ValueError("not an IANA time zone")
    return name


Email = Annotated[
    EmailStr, Bounds(max_length=254, examples=["anna@example.com"]), AfterValidator(_lower)
]
Secret = Annotated[str, Bounds(min_length=1, max_length=200, examples=["correct horse battery"])]
NewPassword = Annotated[
    str, Bounds(min_length=1, max_length=200, examples=["correct horse battery"])
]
"""Its length in bytes and its strength are checked by `check_password`."""

Token = Annotated[str, Bounds(min_length=1, max_length=4096)]
TimeZone = Annotated[str, AfterValidator(_known_zone), Bounds(examples=["Europe/Moscow"])]
Locale = Literal["en", "ru"]
WallTime = Annotated[
    str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), Bounds(examples=["21:30"])
]
Weekday = Annotated[int, Bounds(ge=1, le=7, examples=[1])]
DeviceToken = Annotated[
    str, StringConstraints(min_length=1, max_length=1000), Bounds(examples=["dGVzdA:APA91bE"])
]


ShownStatus = Literal[Status.ACTIVE, Status.PENDING, Status.BLOCKED, Status.DEACTIVATED]
"""Whoever is erased has no account to be shown."""


class Frequency(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"
    OFF = "off"


ContactName = Annotated[str, StringConstraints(min_length=1, max_length=32)]
Contact = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Contacts = Annotated[
    dict[ContactName, Contact], Bounds(max_length=10, examples=[{"phone": "+7 900 000-00-00"}])
]


class User(Payload):
    id: Id
    email: str
    name: str
    role: Role
    status: ShownStatus
    locale: str
    time_zone: str
    avatar_url: str | None
    contacts: dict[str, str]
    created_at: Instant

    @classmethod
    def of(cls, row: accounts.User, link: Link) -> "User":
        return cls(
            id=row.id,
            email=row.email,
            name=row.name,
            role=Role(row.role),
            status=cast("ShownStatus", Status(row.status)),
            locale=row.locale,
            time_zone=row.time_zone,
            avatar_url=link_avatar(row, link),
            contacts=row.contacts,
            created_at=row.created_at,
        )


class Session(Payload):
    """A sign-in. The refresh token is null where it travels in a cookie, or where none is given."""

    user: User
    access_token: str
    refresh_token: str | None
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - not a secret
    expires_in: int


class Register(Payload):
    email: Email
    password: NewPassword
    name: Line | None = None
    role: Literal["patient", "psychologist"] = "patient"


class NewPerson(Payload):
    """Somebody whom an operator adds."""

    email: Email
    name: Line


class Login(Payload):
    email: Email
    password: Secret
    cookie: bool = False


class Refresh(Change):
    refresh_token: Token | None = None


class ForgotPassword(Payload):
    email: Email


class ResetPassword(Payload):
    token: Token
    password: NewPassword


class ChangePassword(Payload):
    current: Secret
    new: NewPassword
    cookie: bool = False


class ClientCredentials(Payload):
    client_id: Token
    client_secret: Token
    grant_type: Literal["client_credentials"] = "client_credentials"


class GoogleCallback(Payload, extra="ignore"):
    """What the provider adds to our address; it may add more than we read."""

    state: Annotated[str, Bounds(max_length=200)]
    code: Annotated[str, Bounds(max_length=2000)] | None = None


class UpdateProfile(Change):
    """Only what is given is changed; `avatar_upload_id: null` takes the picture away."""

    name: Line | None = None
    avatar_upload_id: Id | None = None
    contacts: Contacts | None = None
    locale: Locale | None = None
    time_zone: TimeZone | None = None


class Schedule(Payload):
    """When a person wants a summary of what is unread: wall times in their time zone."""

    times: list[WallTime]
    frequency: Frequency
    weekday: Weekday | None


class QuietHours(Payload):
    """When pushes wait, but for critical ones: wall times in the person's zone, or both null."""

    starts: WallTime | None
    ends: WallTime | None


class Settings(Payload):
    push_enabled: bool
    schedule: Schedule
    quiet_hours: QuietHours

    @classmethod
    def of(cls, row: accounts.User) -> "Settings":
        return cls(
            push_enabled=row.push_enabled,
            schedule=Schedule(
                times=row.digest_times.split(),
                frequency=Frequency(row.digest_frequency),
                weekday=row.digest_weekday,
            ),
            quiet_hours=QuietHours(starts=row.quiet_starts, ends=row.quiet_ends),
        )


class UpdateSettings(Change):
    push_enabled: bool


class UpdateSchedule(Change):
    """`weekday` (Monday is 1) goes with `weekly`, and with nothing else."""

    frequency: Annotated[Frequency, Strict(False)]
    weekday: Weekday | None = None
    times: Annotated[list[WallTime], Bounds(max_length=12, examples=[["05:00", "21:30"]])]

    @field_validator("weekday")
    @classmethod
    def check_weekday(cls, weekday: int | None, info: ValidationInfo) -> int | None:
        frequency = info.data.get("frequency")
        if (frequency == Frequency.WEEKLY) != (weekday is not None) and frequency is not None:
            raise PydanticCustomError("weekday", "A weekday goes with weekly, and is needed there")
        return weekday

    @field_validator("times")
    @classmethod
    def check_times(cls, times: list[str], info: ValidationInfo) -> list[str]:
        if not times and info.data.get("frequency") != Frequency.OFF:
            raise PydanticCustomError("too_short", "At least one time is needed")
        return sorted(set(times))


class UpdateQuietHours(Change):
    """Both or neither; they may span midnight."""

    starts: WallTime | None
    ends: Annotated[WallTime | None, Bounds(examples=["07:00"])]

    @field_validator("ends")
    @classmethod
    def check_ends(cls, ends: str | None, info: ValidationInfo) -> str | None:
        starts = info.data.get("starts")
        if (starts is None) != (ends is None) or (ends is not None and starts == ends):
            raise PydanticCustomError("quiet_hours", "Two different times, or null twice")
        return ends


class RegisterDevice(Change):
    token: DeviceToken
    platform: Literal["android", "ios", "web"]


class RemoveDevice(Change):
    token: DeviceToken


class SessionInfo(Payload):
    """One place where the person is signed in."""

    id: Id
    current: bool
    user_agent: str
    address: str
    created_at: Instant
    last_used_at: Instant
    expires_at: Instant


class ListSessions(PageRequest):
    pass


class EndSession(Change):
    session_id: Id


class RecoveryMail(Payload):
    """The job: send a link to the person with this address, if there is one."""

    email: str
    locale: str


class Digest(Payload):
    """The job: a summary of what is unread, and the next one planned."""

    user_id: Id


class Expire(Payload):
    """The job: a deactivated account that nobody came back to is erased."""

    user_id: Id


class Registered(Payload):
    """The job: a new account is there."""

    user_id: Id

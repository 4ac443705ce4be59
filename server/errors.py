"""The closed list of errors: everything a client can be told went wrong."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel

from server import texts


class Field(BaseModel):
    """What is wrong with one part of a request; `path` is dotted, as in `answers.0.option_id`."""

    path: str
    code: str
    message: str


class ErrorBody(BaseModel):
    code: str
    message: str
    retryable: bool
    fields: list[Field] | None = None
    retry_after: int | None = None


class Error(Exception):
    """An answer that says no. Its text for people comes from the catalogues, by code."""

    code: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False
    known: ClassVar[dict[str, type["Error"]]] = {}

    def __init__(
        self, *, fields: Sequence[Field] | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(self.code)
        self.fields = list(fields) if fields is not None else None
        self.retry_after = None if retry_after is None else max(1, round(retry_after))

    def __init_subclass__(cls) -> None:
        if cls.code in Error.known:
            raise TypeError(f"error code {cls.code!r} is declared twice")
        Error.known[cls.code] = cls

    def body(self, locale: str = texts.DEFAULT_LOCALE) -> ErrorBody:
        return ErrorBody(
            code=self.code,
            message=texts.get(f"error.{self.code}", locale),
            retryable=self.retryable,
            fields=self.fields,
            retry_after=self.retry_after,
        )

    def json(self, locale: str = texts.DEFAULT_LOCALE) -> str:
        return self.body(locale).model_dump_json(exclude_none=True)


class Invalid(Error):
    code, status = "invalid", 422

    @classmethod
    def of(cls, path: str, code: str, message: str) -> "Invalid":
        return cls(fields=[Field(path=path, code=code, message=message)])


class Unauthenticated(Error):
    code, status = "unauthenticated", 401


class TokenExpired(Error):
    code, status = "token_expired", 401


class BadCredentials(Error):
    code, status = "bad_credentials", 401


class Forbidden(Error):
    code, status = "forbidden", 403


class NotFound(Error):
    """There is no such thing, or none that this person may see."""

    code, status = "not_found", 404


class UnknownEvent(Error):
    code, status = "unknown_event", 404


class Conflict(Error):
    code, status = "conflict", 409


class EmailTaken(Error):
    code, status = "email_taken", 409


class ChatClosed(Error):
    code, status = "chat_closed", 409


class QuotaExceeded(Error):
    code, status = "quota_exceeded", 409


class Gone(Error):
    code, status = "gone", 410


class TooLarge(Error):
    code, status = "too_large", 413


class UnsupportedType(Error):
    code, status = "unsupported_type", 415


class RateLimited(Error):
    code, status, retryable = "rate_limited", 429, True


class Unavailable(Error):
    code, status, retryable = "unavailable", 503, True


class Internal(Error):
    code, status, retryable = "internal", 500, True

"""The tables of assessments: tests in their versions, what people answered, and alerts."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.schema import NEVER_REUSED, Key, Number, Table, UserId, UserKey, big_integer


class TestStatus(StrEnum):
    __test__ = False  # pytest would collect it by its name

    DRAFT = "draft"
    PUBLISHED = "published"
    RETIRED = "retired"


class VersionStatus(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    SUPERSEDED = "superseded"


class AlertStatus(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


def _one_version(status: VersionStatus) -> Index:
    is_so = text(f"status = '{status}'")
    return Index(
        f"uq_test_versions_{status}",
        "test_id",
        unique=True,
        postgresql_where=is_so,
        sqlite_where=is_so,
    )


class Test(Table):
    """A test over all its versions. `code` is for those that are shipped, which have no author.

    `search` is what its list is searched in: titles of the version that people see, casefolded.
    """

    __test__ = False  # pytest would collect it by its name
    __tablename__ = "tests"
    __table_args__ = (Index(None, "status", "id"), Index(None, "author_id", "id"), NEVER_REUSED)

    id: Mapped[Key]
    code: Mapped[str | None] = mapped_column(String(40), unique=True)
    author_id: Mapped[int | None] = mapped_column(
        big_integer, ForeignKey("users.id", ondelete="SET NULL")
    )
    status: Mapped[str] = mapped_column(String(20))
    search: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class TestVersion(Table):
    """What is asked and how it is scored: immutable once published.

    `rules` holds all but the questions: titles, scales, bands, safety items, wordings, licence.
    """

    __test__ = False  # pytest would collect it by its name
    __tablename__ = "test_versions"
    __table_args__ = (
        UniqueConstraint("test_id", "number"),
        _one_version(VersionStatus.PUBLISHED),
        _one_version(VersionStatus.DRAFT),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    test_id: Mapped[int] = mapped_column(big_integer, ForeignKey("tests.id", ondelete="CASCADE"))
    number: Mapped[int]
    status: Mapped[str] = mapped_column(String(20))
    rules: Mapped[dict[str, Any]] = mapped_column(JSON)
    published_at: Mapped[datetime | None]


class Question(Table):
    __tablename__ = "questions"
    __table_args__ = (UniqueConstraint("version_id", "position"), NEVER_REUSED)

    id: Mapped[Key]
    version_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("test_versions.id", ondelete="CASCADE")
    )
    position: Mapped[int]
    code: Mapped[str] = mapped_column(String(40))
    loinc: Mapped[str | None] = mapped_column(String(20))
    texts: Mapped[dict[str, str]] = mapped_column(JSON)
    scored: Mapped[bool]
    required: Mapped[bool]


class AnswerOption(Table):
    """`score` is null for an answer that counts as missing: refused, don't know."""

    __tablename__ = "answer_options"
    __table_args__ = (UniqueConstraint("question_id", "position"), NEVER_REUSED)

    id: Mapped[Key]
    question_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("questions.id", ondelete="CASCADE")
    )
    position: Mapped[int]
    loinc: Mapped[str | None] = mapped_column(String(20))
    texts: Mapped[dict[str, str]] = mapped_column(JSON)
    score: Mapped[float | None]


class Result(Table):
    """What a person answered, in which version and language, and what was made of it then.

    `answers` are [question id, option id or null, score or null], in the order of the questions.
    """

    __tablename__ = "test_results"
    __table_args__ = (
        Index(None, "user_id", "created_at", "id"),
        Index(None, "user_id", "test_id", "created_at", "id"),
        UniqueConstraint("user_id", "client_ref"),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    user_id: Mapped[UserId]
    test_id: Mapped[int] = mapped_column(big_integer, ForeignKey("tests.id"), index=True)
    version_id: Mapped[int] = mapped_column(big_integer, ForeignKey("test_versions.id"), index=True)
    language: Mapped[str] = mapped_column(String(10))
    total: Mapped[float]
    severity: Mapped[str | None] = mapped_column(String(40))
    scales: Mapped[list[Any]] = mapped_column(JSON)
    answers: Mapped[list[Any]] = mapped_column(JSON)
    complete: Mapped[bool]
    prorated: Mapped[bool]
    flags: Mapped[list[str]] = mapped_column(JSON)
    client_ref: Mapped[UUID | None] = mapped_column(Uuid)
    request_hash: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]


class LatestResult(Table):
    """A person's last result of each test, so that a list of people need not look for it."""

    __tablename__ = "latest_results"

    user_id: Mapped[UserKey]
    test_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("tests.id", ondelete="CASCADE"), primary_key=True
    )
    result_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("test_results.id", ondelete="CASCADE"), index=True
    )


class Draft(Table):
    """Answers on their way: [question id, option id], of one version."""

    __tablename__ = "test_drafts"

    user_id: Mapped[UserKey]
    test_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("tests.id", ondelete="CASCADE"), primary_key=True
    )
    version_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("test_versions.id", ondelete="CASCADE"), index=True
    )
    answers: Mapped[list[Any]] = mapped_column(JSON)
    updated_at: Mapped[datetime]


class Alert(Table):
    """An answer somebody must look at. `for_admins` once no psychologist has or had it in time."""

    __tablename__ = "alerts"
    __table_args__ = (
        UniqueConstraint("result_id", "question_id"),
        Index(None, "patient_id", "id"),
        Index(
            "ix_alerts_unresolved",
            "patient_id",
            postgresql_where=text("status != 'resolved'"),
            sqlite_where=text("status != 'resolved'"),
        ),
        Index(None, "for_admins", "id"),
        NEVER_REUSED,
    )

    id: Mapped[Key]
    patient_id: Mapped[UserId]
    result_id: Mapped[int] = mapped_column(
        big_integer, ForeignKey("test_results.id", ondelete="CASCADE")
    )
    question_id: Mapped[int] = mapped_column(big_integer, ForeignKey("questions.id"), index=True)
    score: Mapped[float]
    status: Mapped[str] = mapped_column(String(20))
    for_admins: Mapped[bool]
    raised_at: Mapped[datetime]
    escalations: Mapped[int] = mapped_column(default=0, server_default="0")
    escalated_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[Number | None]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[Number | None]
    note: Mapped[str | None] = mapped_column(String(1000))

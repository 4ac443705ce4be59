"""Every variable of the environment, its meaning and its default."""

import hashlib
import os
import secrets
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIN_SECRET = 32
"""Bytes; RFC 7518 §3.2 asks for a key at least as long as the hash."""


class CrisisContact(BaseModel):
    """Somebody who helps at once, by telephone or on a page."""

    name: str = Field(min_length=1, max_length=200)
    phone: str | None = Field(None, min_length=1, max_length=40)
    url: str | None = Field(None, min_length=1, max_length=500)


class Settings(BaseSettings):
    """Built once in run.py and passed down; nothing below reads the environment."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    environment: Literal["development", "production"] = Field(
        "development", description="In production unsafe settings refuse to start."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least important level that is logged."
    )
    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on.")
    public_url: str = Field(
        "http://127.0.0.1:8000", description="Where clients reach the server; used in links."
    )
    internal_url: str = Field(
        "",
        description="Where other instances reach this one; empty: HOST and PORT, unless HOST is "
        "a wildcard: then clients that poll must come back to the same instance.",
    )
    internal_secret: SecretStr = Field(
        SecretStr(""), description="Seals what instances tell each other; empty: JWT_SECRET_KEY."
    )
    drain_seconds: float = Field(
        5, ge=0, description="Over how long clients are sent elsewhere when the server stops."
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), description="Networks whose X-Forwarded-For is believed, separated by commas."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of web clients, separated by commas; `*` in development only."
    )

    data_dir: Path = Field(Path("var"), description="Where the embedded parts keep their files.")
    database_url: str = Field("", description="postgresql://…; empty: SQLite in DATA_DIR.")
    redis_url: str = Field("", description="redis://…; empty: in memory, for a single instance.")
    stream_retention_days: float = Field(
        30, gt=0, description="How long the event log remembers what a client may have missed."
    )

    jwt_secret_key: SecretStr = Field(
        SecretStr(""), description="Signs access tokens; empty: made up and kept in DATA_DIR."
    )
    jwt_previous_secret_key: SecretStr = Field(
        SecretStr(""), description="The key before, still accepted while tokens run out."
    )
    jwt_algorithm: Literal["HS256"] = Field("HS256", description="How access tokens are signed.")
    access_token_expire_minutes: float = Field(30, gt=0, description="Life of an access token.")
    refresh_token_expire_days: float = Field(7, gt=0, description="Life of a refresh token.")
    rate_limit_scale: float = Field(
        1, ge=0, description="Multiplies every rate limit; 0: no limits (not in production)."
    )

    smtp_url: SecretStr = Field(
        SecretStr(""),
        description="smtp://user:password@host:port (smtps:// for TLS); empty: .eml files.",
    )
    mail_from: str = Field("Emotrack <noreply@localhost>", description="The sender of mail.")

    s3_bucket: str = Field("", description="Where uploads are kept; empty: files in DATA_DIR.")
    s3_endpoint_url: str = Field("", description="Of an S3 that is not Amazon's.")
    s3_region: str = Field("us-east-1", description="Of the bucket; Amazon's links need it.")
    s3_access_key: str = Field("", description="Who we are to S3.")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="The access key's secret.")
    upload_quota_mb: int = Field(1024, gt=0, description="Megabytes one person may have uploaded.")

    firebase_credentials: Path | None = Field(
        None, description="A service account's JSON file; empty: pushes are written to DATA_DIR."
    )
    fcm_url: str = Field("", description="In place of FCM's address; for tests.")

    alert_minutes: float = Field(
        30, gt=0, description="After how long an alert nobody acknowledged goes to the admins too."
    )
    crisis_contacts: dict[str, tuple[CrisisContact, ...]] = Field(
        {},
        description="Where people in need may turn, as JSON by locale: "
        '{"ru": [{"name": "…", "phone": "112", "url": "https://…"}]}; each as verified by you.',
    )
    change_rules: dict[str, dict[str, float]] = Field(
        {},
        description="Thresholds of change other than the usual ones, as JSON by test: "
        '{"phq-9": {"reliable": 5}}.',
    )
    prorated_tests: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Tests that may lack two answers, by code, separated by commas."
    )
    ai_base_url: str = Field(
        "",
        description="An API like OpenAI's, as https://api.deepseek.com; goes with AI_API_KEY and "
        "AI_MODEL. All empty: examples are written here, and in production nothing.",
    )
    ai_api_key: SecretStr = Field(SecretStr(""), description="Who we are to the model's API.")
    ai_model: str = Field("", description="The model that splits goals, as deepseek-chat.")
    ai_daily_tokens: int = Field(
        40_000, gt=0, description="Tokens of the model that one person may use in a day."
    )

    sentry_dsn: SecretStr = Field(SecretStr(""), description="Where errors are reported, if set.")

    google_client_id: str = Field("", description="OpenID Connect client; empty: switched off.")
    google_client_secret: SecretStr = Field(SecretStr(""), description="The client's secret.")
    google_issuer: str = Field(
        "https://accounts.google.com", description="The OpenID Connect provider."
    )

    @field_validator("cors_origins", "trusted_proxies", "prorated_tests", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("firebase_credentials", mode="before")
    @classmethod
    def leave_unset(cls, value: object) -> object:
        return value or None

    @field_validator("public_url", "internal_url", "google_issuer", "ai_base_url")
    @classmethod
    def strip_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def choose_driver(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if scheme in ("postgres", "postgresql"):
            # The driver's name for what libpq calls sslmode.
            return f"postgresql+asyncpg{separator}{rest.replace('sslmode=', 'ssl=')}"
        if value and scheme not in ("postgresql+asyncpg", "sqlite+aiosqlite"):
            raise ValueError("expected postgresql://…")
        return value

    @model_validator(mode="after")
    def refuse_unsafe(self) -> "Settings":
        for name in ("jwt_secret_key", "jwt_previous_secret_key", "internal_secret"):
            key: SecretStr = getattr(self, name)
            if 0 < len(key.get_secret_value().encode()) < MIN_SECRET:
                raise ValueError(f"{name.upper()} must have at least {MIN_SECRET} bytes")
        self._refuse_half_a_model()
        if self.environment == "production":
            problems = [
                problem
                for problem, found in {
                    "JWT_SECRET_KEY is missing": not self.jwt_secret_key.get_secret_value(),
                    "DATABASE_URL is missing": not self.database_url,
                    "DATABASE_URL is SQLite": self.database_url.startswith("sqlite"),
                    "REDIS_URL is missing": not self.redis_url,
                    "SMTP_URL is missing": not self.smtp_url.get_secret_value(),
                    "S3_BUCKET is missing": not self.s3_bucket,
                    "FIREBASE_CREDENTIALS is missing": not self.firebase_credentials,
                    "AI_BASE_URL is not https": self.ai_base_url.startswith("http://"),
                    "CORS_ORIGINS has a wildcard": "*" in self.cors_origins,
                    "RATE_LIMIT_SCALE is 0": self.rate_limit_scale == 0,
                    "PUBLIC_URL is not https": not self.public_url.startswith("https://"),
                }.items()
                if found
            ]
            if problems:
                raise ValueError("unsafe in production: " + "; ".join(problems))
        return self

    def _refuse_half_a_model(self) -> None:
        parts = {
            "AI_BASE_URL": self.ai_base_url,
            "AI_API_KEY": self.ai_api_key.get_secret_value(),
            "AI_MODEL": self.ai_model,
        }
        missing = [name for name, value in parts.items() if not value]
        if 0 < len(missing) < len(parts):
            raise ValueError(f"{', '.join(parts)} go together: {', '.join(missing)} missing")
        if self.ai_base_url and not self.ai_base_url.startswith(("https://", "http://")):
            raise ValueError("AI_BASE_URL must look like https://…")

    @property
    def is_embedded(self) -> bool:
        return not self.database_url or self.database_url.startswith("sqlite")

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir}/emotrack.sqlite3"

    @property
    def redis(self) -> str | None:
        return self.redis_url or None

    @property
    def signing_keys(self) -> list[str]:
        """The key that signs, then the ones that are accepted as well."""
        current = self.jwt_secret_key.get_secret_value() or _load_secret(self.data_dir)
        previous = self.jwt_previous_secret_key.get_secret_value()
        return [current, previous] if previous else [current]

    @property
    def internal_keys(self) -> list[str]:
        """As `signing_keys`, for what instances tell each other."""
        own = self.internal_secret.get_secret_value()
        return [own] if own else self.signing_keys

    @property
    def internal_address(self) -> str:
        """Where other instances reach this one; empty if nowhere."""
        is_wildcard = self.host in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not listened on
        if self.internal_url or is_wildcard or not self.port:
            return self.internal_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def deployment(self) -> str:
        """Names this deployment's keys and channels, where several share a Redis."""
        place = self.database.rpartition("@")[2].partition("?")[0]
        if self.is_embedded:
            place = str(Path(place.partition(":///")[2]).resolve())
        return hashlib.sha256(place.encode()).hexdigest()[:16]


def _load_secret(folder: Path) -> str:
    """The embedded server's made-up secret: tokens stay good over a restart."""
    path = folder / "secret"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        mine = folder / f"secret.{os.getpid()}"
        mine.touch(mode=0o600)
        mine.write_text(secrets.token_urlsafe(48))
        # Two processes may start at once: the first link wins, both read the same secret.
        try:
            path.hardlink_to(mine)
        except FileExistsError:
            pass
        finally:
            mine.unlink()
    return path.read_text()

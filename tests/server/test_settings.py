"""Settings: what may start, what must not, and the secret that is made up."""

import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from server.catalog.variables import insert_table, render_example
from server.settings import MIN_SECRET, Settings
from tests.at_once import run_at_once

# No database is in play: once is enough.
pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parents[2]
STRONG = "s" * MIN_SECRET
MODEL: dict[str, Any] = {
    "ai_base_url": "https://model.example",
    "ai_api_key": "the key of a model",
    "ai_model": "a model",
}
SAFE: dict[str, Any] = {
    "environment": "production",
    "jwt_secret_key": STRONG,
    "database_url": "postgresql://emotrack:secret@db.example/emotrack",
    "redis_url": "redis://redis.example:6379/0",
    "smtp_url": "smtps://emotrack:secret@smtp.example",
    "s3_bucket": "emotrack",
    "firebase_credentials": Path("firebase.json"),
    **MODEL,
    "public_url": "https://emotrack.example",
}
UNSAFE = [
    ("jwt_secret_key", "", "JWT_SECRET_KEY is missing"),
    ("database_url", "", "DATABASE_URL is missing"),
    ("database_url", "sqlite+aiosqlite:///var/x.sqlite3", "DATABASE_URL is SQLite"),
    ("redis_url", "", "REDIS_URL is missing"),
    ("smtp_url", "", "SMTP_URL is missing"),
    ("s3_bucket", "", "S3_BUCKET is missing"),
    ("firebase_credentials", "", "FIREBASE_CREDENTIALS is missing"),
    ("ai_base_url", "http://model.example", "AI_BASE_URL is not https"),
    ("cors_origins", "https://emotrack.example, *", "CORS_ORIGINS has a wildcard"),
    ("rate_limit_scale", 0, "RATE_LIMIT_SCALE is 0"),
    ("public_url", "http://emotrack.example", "PUBLIC_URL is not https"),
]
TIMES = 50
IMPORTS = "import sys; from pathlib import Path; from server.settings import Settings"
PRINT_SECRETS = f"""
for number in range({TIMES}):
    settings = Settings(_env_file=None, data_dir=Path(sys.argv[1], str(number)))
    print(*settings.signing_keys)
"""


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variables and no .env but those of the test."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def refusal(**values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Settings(**values)
    return "; ".join(error["msg"] for error in caught.value.errors())


def test_nothing_needs_to_be_set() -> None:
    settings = Settings()
    assert settings.is_embedded
    assert settings.database == "sqlite+aiosqlite:///var/emotrack.sqlite3"
    assert settings.redis is None


def test_safe_settings_start_in_production() -> None:
    settings = Settings(**SAFE)
    assert not settings.is_embedded
    assert settings.signing_keys == [STRONG]


@pytest.mark.parametrize(("name", "value", "reason"), UNSAFE)
def test_production_refuses_what_is_unsafe(name: str, value: object, reason: str) -> None:
    assert refusal(**{**SAFE, name: value}).endswith(f"unsafe in production: {reason}")
    assert Settings(**{**SAFE, name: value, "environment": "development"})


def test_production_says_everything_that_is_unsafe_at_once() -> None:
    told = refusal(environment="production")
    for name in (
        "JWT_SECRET_KEY",
        "DATABASE_URL",
        "REDIS_URL",
        "SMTP_URL",
        "S3_BUCKET",
        "PUBLIC_URL",
    ):
        assert name in told


@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize("name", ["jwt_secret_key", "jwt_previous_secret_key"])
def test_weak_secrets_are_refused_everywhere(environment: str, name: str) -> None:
    told = refusal(**{**SAFE, "environment": environment, name: STRONG[1:]})
    assert f"must have at least {MIN_SECRET} bytes" in told
    # Bytes count, not letters.
    assert Settings(**{**SAFE, "environment": environment, name: "ж" * (MIN_SECRET // 2)})


def test_production_goes_without_a_model() -> None:
    without = {name: value for name, value in SAFE.items() if name not in MODEL}
    assert Settings(**without).ai_model == ""


@pytest.mark.parametrize("environment", ["development", "production"])
@pytest.mark.parametrize("name", MODEL)
def test_half_a_model_is_refused_everywhere(environment: str, name: str) -> None:
    told = refusal(**{**SAFE, "environment": environment, name: ""})
    assert told.endswith(f"AI_BASE_URL, AI_API_KEY, AI_MODEL go together: {name.upper()} missing")


def test_a_models_address_is_a_url() -> None:
    assert "AI_BASE_URL must look like https://" in refusal(**{**MODEL, "ai_base_url": "model"})
    assert Settings(**{**MODEL, "ai_base_url": "http://model.example/v1/"}).ai_base_url == (
        "http://model.example/v1"
    )


def test_the_key_before_is_accepted_and_the_new_one_signs() -> None:
    previous = "p" * MIN_SECRET
    assert Settings(**SAFE, jwt_previous_secret_key=previous).signing_keys == [STRONG, previous]


def test_secrets_are_not_shown() -> None:
    settings = Settings(**SAFE, jwt_previous_secret_key="p" * MIN_SECRET)
    for secret in (STRONG, "p" * MIN_SECRET, "smtps://", MODEL["ai_api_key"]):
        assert secret not in repr(settings)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_postgresql_urls_are_understood_in_every_form(scheme: str) -> None:
    settings = Settings(database_url=f"{scheme}://anna:a%40b@db.example:5433/emotrack")
    assert settings.database == "postgresql+asyncpg://anna:a%40b@db.example:5433/emotrack"
    assert (
        settings.deployment
        == Settings(**SAFE, port=1)
        .model_copy(update={"database_url": "x://other@db.example:5433/emotrack"})
        .deployment
    )


@pytest.mark.parametrize("url", ["mysql://db.example/emotrack", "sqlite:///x", "db.example"])
def test_other_databases_are_refused(url: str) -> None:
    assert "expected postgresql://" in refusal(database_url=url)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example,")
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8,::1")
    settings = Settings()
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert [*map(str, settings.trusted_proxies)] == ["10.0.0.0/8", "::1/128"]
    monkeypatch.setenv("TRUSTED_PROXIES", "everybody")
    assert refusal()


def test_the_environment_wins_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=81\nHOST=0.0.0.0\nSOMEBODY_ELSES=1\n")
    monkeypatch.setenv("PORT", "82")
    settings = Settings()
    assert (settings.port, settings.host) == (82, "0.0.0.0")  # noqa: S104 - read, not listened on


def test_the_made_up_secret_stays_and_is_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "var"
    (secret,) = Settings(data_dir=folder).signing_keys
    assert len(secret.encode()) >= MIN_SECRET
    assert Settings(data_dir=folder).signing_keys == [secret]
    assert [file.name for file in folder.iterdir()] == ["secret"]
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    assert Settings(data_dir=tmp_path / "other").signing_keys != [secret]


def test_processes_that_start_at_once_make_up_one_secret(tmp_path: Path) -> None:
    said = run_at_once(IMPORTS, PRINT_SECRETS, str(tmp_path), count=4)
    kept = [(tmp_path / str(number) / "secret").read_text() for number in range(TIMES)]
    assert [secrets.split() for secrets in said] == [kept] * 4


def test_the_example_and_the_readme_name_every_variable() -> None:
    stale = "run `make docs`"
    assert (ROOT / ".env.example").read_text("utf-8") == render_example(), stale
    readme = (ROOT / "README.md").read_text("utf-8")
    assert insert_table(readme) == readme, stale

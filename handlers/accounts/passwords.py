"""What a password must be."""

from functools import cache
from pathlib import Path

from handlers.accounts.payloads import MAX_PASSWORD
from server.errors import Invalid

MIN_PASSWORD = 8


def check_password(password: str, email: str, path: str = "password") -> None:
    """Raises: Invalid for a password that is too short, too long or too easily guessed."""
    size = len(password.encode())
    if size < MIN_PASSWORD:
        raise Invalid.of(path, "too_short", f"A password has at least {MIN_PASSWORD} bytes")
    if size > MAX_PASSWORD:
        raise Invalid.of(path, "too_long", f"A password has at most {MAX_PASSWORD} bytes")
    if password.lower() in (email, email.partition("@")[0]):
        raise Invalid.of(path, "same_as_email", "The password must not be the email")
    if password.lower() in _commonest():
        raise Invalid.of(path, "too_common", "This password is among the commonest")


@cache
def _commonest() -> frozenset[str]:
    text = Path(__file__).with_name("commonest_passwords.txt").read_text("utf-8")
    return frozenset(text.split())

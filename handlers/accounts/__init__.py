"""Accounts: people, how they sign in, and what they say about themselves."""

from handlers.accounts import (
    exports,
    google,
    people,
    profile,
    recovery,
    settings,
    signin,
    takeout,
)
from handlers.accounts.declared import account, mail_recovery, make_export, welcome

__all__ = [
    "account",
    "exports",
    "google",
    "mail_recovery",
    "make_export",
    "people",
    "profile",
    "recovery",
    "settings",
    "signin",
    "takeout",
    "welcome",
]

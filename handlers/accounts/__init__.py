"""Accounts: people, how they sign in, and what they say about themselves."""

from handlers.accounts import google, people, profile, recovery, settings, signin
from handlers.accounts.declared import account, mail_recovery, welcome

__all__ = [
    "account",
    "google",
    "mail_recovery",
    "people",
    "profile",
    "recovery",
    "settings",
    "signin",
    "welcome",
]

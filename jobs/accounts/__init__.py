"""Accounts, later: letters with links, and archives of everything that is a person's."""

from jobs.accounts import export, letters

__all__ = ["export", "letters"]

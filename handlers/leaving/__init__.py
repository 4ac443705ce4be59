"""Leaving: accounts are put aside for a while, or erased with whatever others have of them."""

from handlers.leaving.asking import begin_erasure, expire_departure
from handlers.leaving.declared import GRACE, erase, erase_again, mail_receipt
from handlers.leaving.grinding import grind, list_stores

__all__ = [
    "GRACE",
    "begin_erasure",
    "erase",
    "erase_again",
    "expire_departure",
    "grind",
    "list_stores",
    "mail_receipt",
]

"""What accounts tell people and leave for later."""

from handlers.accounts.export_payloads import Export, MakeExport
from handlers.accounts.payloads import (
    Digest,
    Expire,
    RecoveryMail,
    Registered,
    Settings,
    User,
)
from server.contract import Namespace
from server.outgoing import Queue

account = Namespace("/account", "Signing in, the profile, settings and sessions.")

profile_updated = account.push("profile:updated", User, "The person changed their profile.")
settings_updated = account.push(
    "settings:updated", Settings, "The person changed what they are sent."
)

export_ready = account.push(
    "export:ready", Export, "Everything that is the person's is there to be fetched."
)

EXPORT_TIMEOUT = 300.0
"""Seconds. Most take one; a gigabyte of files goes from one store into another."""

mail_recovery = account.job("accounts.mail_recovery", RecoveryMail, queue=Queue.MAIL)
send_digest = account.job("accounts.digest", Digest)
welcome = account.job("accounts.welcome", Registered)
make_export = account.job(
    "accounts.export", MakeExport, queue=Queue.EXPORTS, timeout=EXPORT_TIMEOUT
)
expire = account.job("accounts.expire", Expire)

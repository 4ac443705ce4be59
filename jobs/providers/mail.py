"""Mail: over SMTP, or into .eml files where there is no server."""

import asyncio
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aiosmtplib import SMTP

from server.services import Mail, Mailer
from server.settings import Settings

TIMEOUT = 20
DEFAULT_PORTS = {"smtp": 587, "smtps": 465}


def build_mailer(settings: Settings) -> Mailer:
    url = settings.smtp_url.get_secret_value()
    if url:
        return SmtpMailer(url, settings.mail_from)
    return FileMailer(settings.data_dir / "outbox", settings.mail_from)


class FileMailer:
    """Writes each letter into a folder; a repeat replaces its first copy."""

    def __init__(self, folder: Path, sender: str) -> None:
        self._folder = folder
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        message = _compose(mail, self._sender)
        await asyncio.to_thread(self._write, f"{mail.message_id}.eml", message.as_bytes())

    async def check(self) -> str:
        return f"files in {self._folder}"

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}"
        unfinished.write_bytes(content)
        unfinished.rename(self._folder / name)


class SmtpMailer:
    """One connection a letter: smtps is TLS from the start, smtp upgrades where it can."""

    def __init__(self, url: str, sender: str) -> None:
        self._url = urlsplit(url)
        if self._url.scheme not in DEFAULT_PORTS or not self._url.hostname:
            raise ValueError("SMTP_URL must look like smtp://user:password@host:port")
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        async with self._connect() as client:
            await client.send_message(_compose(mail, self._sender))

    async def check(self) -> str:
        async with self._connect() as client:
            await client.noop()
        return f"{self._url.scheme}://{self._url.hostname}"

    def _connect(self) -> SMTP:
        return SMTP(
            hostname=self._url.hostname,
            port=self._url.port or DEFAULT_PORTS[self._url.scheme],
            username=unquote(self._url.username) if self._url.username else None,
            password=unquote(self._url.password) if self._url.password else None,
            use_tls=self._url.scheme == "smtps",
            timeout=TIMEOUT,
        )


def _compose(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage()
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    message["From"] = sender
    message["To"] = mail.to
    # Names stand in subjects, and a line break would end the header.
    message["Subject"] = " ".join(mail.subject.split())
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = f"<{mail.message_id}@{domain}>"
    message.set_content(mail.text.strip() + "\n")
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    if mail.unsubscribe is not None:
        # RFC 8058: mail programs show a button of their own, and post there.
        message["List-Unsubscribe"] = f"<{mail.unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return message

"""Letters: over SMTP and as .eml files, by one and the same suite."""

from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from jobs.providers.mail import build_mailer
from server.services import Mail, Mailer
from server.settings import Settings
from tests.stand_ins.smtp import SmtpStandIn, run_smtp

SENDER = "Эмотрек <noreply@emotrack.example>"
PASSWORD = "p@ss/word:1"
LETTER = Mail(
    to="anna@example.com",
    subject="Новый пароль для Emotrack",
    text="\nЗдравствуйте, Анна!\n\nhttps://emotrack.example/?token=" + "a1" * 60 + "\n",  # noqa: RUF001
    message_id="reset.0123456789abcdef",
)


class Mailbox:
    """A mailer, and what came out at its other end."""

    def __init__(self, settings: Settings, smtp: SmtpStandIn | None) -> None:
        self.mailer: Mailer = build_mailer(settings)
        self._folder = settings.data_dir / "outbox"
        self._smtp = smtp

    def letters(self) -> list[EmailMessage]:
        if self._smtp is not None:
            return self._smtp.letters
        return [
            message_from_bytes(path.read_bytes(), _class=EmailMessage, policy=policy.default)
            for path in sorted(self._folder.iterdir())
        ]


@pytest.fixture(params=["smtp", "files"])
async def mailbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mailbox]:
    values: dict[str, Any] = {"data_dir": tmp_path, "mail_from": SENDER}
    if request.param == "files":
        yield Mailbox(Settings(_env_file=None, **values), None)
        return
    async with run_smtp(password=PASSWORD) as smtp:
        url = f"smtp://emotrack:{quote(PASSWORD, safe='')}@127.0.0.1:{smtp.port}"
        yield Mailbox(Settings(_env_file=None, smtp_url=url, **values), smtp)


async def test_a_letter_arrives_as_it_was_written(mailbox: Mailbox) -> None:
    await mailbox.mailer.send(LETTER)

    (letter,) = mailbox.letters()
    assert letter["To"] == "anna@example.com"
    assert letter["From"] == SENDER
    assert letter["Subject"] == LETTER.subject
    assert letter["Date"]
    assert letter.get_content().replace("\r\n", "\n") == LETTER.text.lstrip()


async def test_a_repeated_letter_can_be_told_from_a_new_one(mailbox: Mailbox) -> None:
    await mailbox.mailer.send(LETTER)
    await mailbox.mailer.send(LETTER)

    ids = {letter["Message-ID"] for letter in mailbox.letters()}
    assert ids == {"<reset.0123456789abcdef@emotrack.example>"}


async def test_a_name_with_line_breaks_adds_no_header(mailbox: Mailbox) -> None:
    subject = "Eve\r\nBcc: everybody@example.com invites you"

    await mailbox.mailer.send(Mail("anna@example.com", subject, "Hello!", "invitation.1"))

    (letter,) = mailbox.letters()
    assert letter["Bcc"] is None
    assert letter["Subject"] == "Eve Bcc: everybody@example.com invites you"


async def test_a_check_says_where_letters_go_and_nothing_secret(mailbox: Mailbox) -> None:
    where = await mailbox.mailer.check()

    assert where
    assert PASSWORD not in where


@pytest.mark.parametrize("fault", ["away", "busy", "wrong password"])
async def test_a_letter_that_was_not_taken_raises(fault: str, tmp_path: Path) -> None:
    async with run_smtp(password=PASSWORD) as smtp:
        smtp.busy = fault == "busy"
        password = "wrong" if fault == "wrong password" else quote(PASSWORD, safe="")
        url = f"smtp://emotrack:{password}@127.0.0.1:{smtp.port}"
        mailer = build_mailer(Settings(_env_file=None, smtp_url=url, data_dir=tmp_path))
        if fault == "away":
            await smtp.stop()

        with pytest.raises(Exception, match=r".") as raised:
            await mailer.send(LETTER)

        assert PASSWORD not in str(raised.value)
        assert smtp.letters == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:25", "smtp://", "mail.example.com:25"])
def test_an_address_that_is_no_smtp_server_is_refused_at_start(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SMTP_URL must look like"):
        build_mailer(Settings(_env_file=None, smtp_url=url, data_dir=tmp_path))

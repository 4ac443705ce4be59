"""An SMTP server that keeps its letters, and can be told to misbehave."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

PATIENCE = 10.0
ACCEPTED = "250 OK"
UNKNOWN = "530 5.7.0 Authentication required"
BUSY = "451 4.3.0 Please try again later"


class SmtpStandIn:
    """Letters arrive in `letters`. While `busy`, they are refused; while held, they wait."""

    def __init__(self, *, password: str | None = None) -> None:
        self.letters: list[EmailMessage] = []
        self.busy = False
        self.knocks = 0
        self.may_pass = asyncio.Event()
        self.may_pass.set()
        self.port = 0
        self._password = password
        self._news = asyncio.Condition()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; after a stop, on the same port again."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(
                self,
                loop=loop,
                authenticator=self._authenticate,
                auth_require_tls=False,
            ),
            "127.0.0.1",
            self.port,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def wait_for(
        self, count: int = 1, *, to: str | None = None, patience: float = PATIENCE
    ) -> list[EmailMessage]:
        """The letters (to this address), once there are so many."""
        await self._wait(lambda: len(self.find(to)) >= count, f"{count} letters to {to}", patience)
        return self.find(to)

    async def wait_for_knock(self, count: int = 1, *, patience: float = PATIENCE) -> None:
        """Until a letter is at the door, held or not."""
        await self._wait(lambda: self.knocks >= count, f"{count} letters at the door", patience)

    def find(self, to: str | None) -> list[EmailMessage]:
        return [letter for letter in self.letters if to in (None, letter["To"])]

    async def handle_DATA(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        async with self._news:
            self.knocks += 1
            self._news.notify_all()
        if self._password is not None and not session.authenticated:
            return UNKNOWN
        if self.busy:
            return BUSY
        await self.may_pass.wait()
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default)
        async with self._news:
            self.letters.append(letter)
            self._news.notify_all()
        return ACCEPTED

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and data.password.decode() == self._password
        return AuthResult(success=right, handled=False)

    async def _wait(self, happened: Callable[[], bool], what: str, patience: float) -> None:
        async with self._news:
            try:
                await asyncio.wait_for(self._news.wait_for(happened), patience)
            except TimeoutError:
                raise AssertionError(f"waited in vain for {what}") from None


@asynccontextmanager
async def run_smtp(*, password: str | None = None) -> AsyncIterator[SmtpStandIn]:
    smtp = SmtpStandIn(password=password)
    await smtp.start()
    try:
        yield smtp
    finally:
        smtp.may_pass.set()
        await smtp.stop()

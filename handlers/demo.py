"""Demo people for trying things out: a psychologist, her patients, and something to read."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from uuid import uuid4

from handlers import care
from handlers.accounts import people
from handlers.accounts.payloads import User
from handlers.chat.conversations import open_chat
from handlers.chat.payloads import OpenChat, SendMessage
from handlers.chat.sending import send_messages
from handlers.mood.entries import add_entry
from handlers.mood.payloads import AddEntry
from server.auth import Identity
from server.context import Caller, Context
from server.contract import Asked
from server.errors import EmailTaken
from server.runtime import Runtime
from storage.accounts import Role

PASSWORD = "one demo password"  # noqa: S105 - printed for everybody to use
PEOPLE = (
    ("anna@example.com", Role.PSYCHOLOGIST, "Anna Orlova"),
    ("boris@example.com", Role.PATIENT, "Boris Ivanov"),
    ("clara@example.com", Role.PATIENT, "Clara Schmidt"),
    ("admin@example.com", Role.ADMIN, "Admin"),
)
TALK = (
    ("psychologist", "Good morning! How did the week go?"),
    ("patient", "Better than the last one. I slept well on most days."),
    ("psychologist", "I am glad to hear that. What was different?"),
)
SCORES = (4, 5, 4, 6, 5, 7, 7, 6, 8, 6, 7, 8)
"""Of the last days; on those above five there was a walk."""


async def seed(runtime: Runtime) -> list[str]:
    """Make the people and a conversation; lines that say how to sign in."""
    made: dict[str, User] = {}
    try:
        async with Context.open(runtime) as ctx:
            for email, role, name in PEOPLE:
                made[email] = await people.create_user(ctx, email, role, name, PASSWORD)
    except EmailTaken:
        return ["The demo people are there already.", *_describe()]
    anna, boris, clara, _ = made.values()
    for patient in (boris, clara):
        await _connect(runtime, anna, patient)
    await _talk(runtime, anna, boris)
    await _feel(runtime, boris)
    return _describe()


async def _connect(runtime: Runtime, psychologist: User, patient: User) -> None:
    async with _as(runtime, psychologist) as ctx:
        await care.invite(ctx, care.Invite(email=patient.email))
    async with _as(runtime, patient) as ctx:
        await care.accept(ctx, care.AnswerInvitation(psychologist_id=psychologist.id))


async def _talk(runtime: Runtime, psychologist: User, patient: User) -> None:
    async with _as(runtime, psychologist) as ctx:
        chat = await open_chat(ctx, OpenChat(user_id=patient.id))
    writers = {"psychologist": psychologist, "patient": patient}
    for writer, text in TALK:
        request = SendMessage(chat_id=chat.id, client_ref=uuid4(), text=text)
        async with Context.open(runtime) as ctx:
            await send_messages(ctx, [Asked(_identity(writers[writer]), request)])


async def _feel(runtime: Runtime, patient: User) -> None:
    for days_ago, score in enumerate(reversed(SCORES), start=1):
        async with _as(runtime, patient) as ctx:
            at = ctx.now - timedelta(days=days_ago)
            activities = ["walking"] if score > 5 else []
            await add_entry(ctx, AddEntry(score=score, activities=activities, at=at))


def _as(runtime: Runtime, user: User) -> AbstractAsyncContextManager[Context]:
    return Context.open(runtime, Caller(), _identity(user))


def _identity(user: User) -> Identity:
    return Identity(id=user.id, role=user.role, session_id=0, locale=user.locale)


def _describe() -> list[str]:
    people = [f"  {email:<20} {role.value}" for email, role, _ in PEOPLE]
    return [f"Sign in with the password {PASSWORD!r} as", *people]

"""Chat: conversations between a psychologist and a patient."""

from handlers.chat import conversations, markers, messages, presence, sending, takeout, unread
from handlers.chat.conversations import close_chat
from handlers.chat.declared import CARE, chat

__all__ = [
    "CARE",
    "chat",
    "close_chat",
    "conversations",
    "markers",
    "messages",
    "presence",
    "sending",
    "takeout",
    "unread",
]

"""What chats tell people."""

from handlers.chat.payloads import Chat, ChatErased, MarkerMoved, Message, Presence, Typing
from server.contract import Namespace
from server.limits import Rate
from storage.accounts import Role

CARE = frozenset({Role.PATIENT, Role.PSYCHOLOGIST})
RATE = Rate(60, per=10)

chat = Namespace("/chat", "Conversations between a psychologist and a patient.")

chat_opened = chat.push("chat:opened", Chat, "A chat was made, or opened again.")
chat_closed = chat.push("chat:closed", Chat, "The relation ended: the chat is history now.")
chat_erased = chat.push(
    "chat:erased", ChatErased, "All messages of one of the two are empty and count as deleted."
)
message_created = chat.push(
    "message:created", Message, "A message; with it its sender has read everything before it."
)
message_edited = chat.push("message:edited", Message, "A message has a new text.")
message_deleted = chat.push("message:deleted", Message, "A message was emptied.")
messages_delivered = chat.push(
    "message:delivered", MarkerMoved, "Messages have reached a device of one of the two."
)
messages_read = chat.push("message:read", MarkerMoved, "One of the two has read messages.")

typing = chat.signal("typing", Typing, "The other person is writing, or has stopped.")
presence = chat.signal("presence", Presence, "Somebody one shares an open chat with came or went.")

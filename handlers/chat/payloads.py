"""What chats look like on the wire."""

from datetime import datetime
from typing import Annotated

from pydantic import Field as Bounds
from pydantic import StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError, to_json

from handlers.accounts.person import Person
from handlers.uploads import Link, Upload
from server.payload import Change, Id, Instant, PageRequest, Payload, Ref, Seq, iso
from storage import chat as chats
from storage.chat import ChatStatus, Reached, View

MAX_TEXT = 10_000
Body = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_TEXT), Bounds(examples=["How are you?"])
]


class Message(Payload):
    """A message; a deleted one keeps its seq, with no text."""

    chat_id: Id
    seq: Seq
    sender_id: Id
    client_ref: Ref
    text: str
    attachments: list[Upload]
    created_at: Instant
    delivered_at: Instant | None
    read_at: Instant | None
    edited_at: Instant | None
    deleted: bool

    @classmethod
    def of(
        cls, row: chats.Message | chats.NewMessage, reached: Reached, attachments: list[Upload]
    ) -> "Message":
        return cls(
            chat_id=row.chat_id,
            seq=row.seq,
            sender_id=row.sender_id,
            client_ref=row.client_ref,
            text=row.text,
            attachments=attachments,
            created_at=row.created_at,
            delivered_at=reached.delivered_at,
            read_at=reached.read_at,
            edited_at=row.edited_at,
            deleted=row.deleted,
        )

    @staticmethod
    def write_new(request: "SendMessage", sender_id: int, now: datetime) -> tuple[str, str]:
        """The JSON of a message that is just sent, before and after its seq.

        By hand, for it is made of each message there is: the model costs four times as much.
        """
        text = to_json(request.text).decode()
        before = f'{{"chat_id":{request.chat_id},"seq":'
        after = (
            f',"sender_id":{sender_id},"client_ref":"{request.client_ref}","text":{text}'
            f',"attachments":[],"created_at":"{iso(now)}","delivered_at":null,"read_at":null'
            ',"edited_at":null,"deleted":false}'
        )
        return before, after

    @classmethod
    def as_sent(cls, row: chats.Message, text: str, attachments: list[Upload]) -> "Message":
        """As it was when it was sent: what a repeated request is answered."""
        return cls(
            chat_id=row.chat_id,
            seq=row.seq,
            sender_id=row.sender_id,
            client_ref=row.client_ref,
            text=text,
            attachments=attachments,
            created_at=row.created_at,
            delivered_at=None,
            read_at=None,
            edited_at=None,
            deleted=False,
        )


class Chat(Payload):
    """A conversation, with the reader's own marker and count."""

    id: Id
    psychologist: Person
    patient: Person
    status: ChatStatus
    last_seq: Seq
    last_message: Message | None
    read_seq: Seq
    unread: int
    created_at: Instant

    @classmethod
    def of(cls, view: View, last_message: Message | None, link: Link) -> "Chat":
        return cls(
            id=view.chat.id,
            psychologist=Person.of(view.psychologist, link),
            patient=Person.of(view.patient, link),
            status=ChatStatus(view.chat.status),
            last_seq=view.chat.last_seq,
            last_message=last_message,
            read_seq=view.place.read_seq,
            unread=view.place.unread,
            created_at=view.chat.created_at,
        )


class ChatErased(Payload):
    """Whoever is erased: each of their messages has no text and no files now, and is `deleted`."""

    chat_id: Id
    user_id: Id


class OpenChat(Change):
    user_id: Id


class ListChats(PageRequest):
    pass


class GetChat(Payload):
    chat_id: Id


class SendMessage(Change):
    """A text, files (uploaded for a message by the sender, used nowhere yet), or both."""

    chat_id: Id
    client_ref: Ref
    upload_ids: list[Id] = Bounds(default_factory=list, max_length=10, examples=[[]])
    text: Annotated[str, StringConstraints(max_length=MAX_TEXT), Bounds(examples=["How are you?"])]

    @field_validator("upload_ids")
    @classmethod
    def check_files(cls, upload_ids: list[int]) -> list[int]:
        if len(set(upload_ids)) < len(upload_ids):
            raise PydanticCustomError("repeated", "A file can be attached once")
        return upload_ids

    @field_validator("text")
    @classmethod
    def check_text(cls, text: str, info: ValidationInfo) -> str:
        if not text and not info.data.get("upload_ids"):
            raise PydanticCustomError("string_too_short", "A message has a text or files")
        return text


class EditMessage(Change):
    chat_id: Id
    seq: Annotated[Seq, Bounds(ge=1)]
    text: Body


class DeleteMessage(Change):
    chat_id: Id
    seq: Annotated[Seq, Bounds(ge=1)]


class ListMessages(Payload):
    """The last ones, those just before `before`, or those just after `after`."""

    chat_id: Id
    limit: Annotated[int, Bounds(ge=1, le=100)] = 20
    before: Seq | None = None
    after: Seq | None = None
    skip: Annotated[int, Bounds(ge=0, le=1_000_000)] = 0


class History(Payload):
    """Messages in ascending order; `has_more` looks on in the direction asked for."""

    items: list[Message]
    total: int
    skip: int
    limit: int
    has_more: bool


class MoveMarker(Change):
    """Everything up to `seq`."""

    chat_id: Id
    seq: Seq


class MarkerAnswer(Payload):
    """Where the marker stands, and what is unread in this chat and in all."""

    chat_id: Id
    seq: Seq
    unread: int
    total_unread: int


class MarkerMoved(Payload):
    """How far somebody has got; `unread` is for the reader's own devices."""

    chat_id: Id
    user_id: Id
    seq: Seq
    at: datetime
    unread: int | None


class ChatUnread(Payload):
    chat_id: Id
    unread: int


class Unread(Payload):
    total: int
    chats: list[ChatUnread]

    @classmethod
    def of(cls, counts: list[tuple[int, int]]) -> "Unread":
        return cls(
            total=sum(count for _, count in counts),
            chats=[ChatUnread(chat_id=chat_id, unread=count) for chat_id, count in counts],
        )


class SettleChat(Payload):
    """Whose notifications of a chat are to follow its counters, as versions before asked for it."""

    chat_id: Id
    user_ids: list[Id]


class SetTyping(Payload):
    chat_id: Id
    active: bool


class Typing(Payload):
    chat_id: Id
    user_id: Id
    active: bool


class GetPresence(Payload):
    user_ids: Annotated[list[Id], Bounds(max_length=100)]


class Presence(Payload):
    user_id: Id
    online: bool
    last_seen_at: Instant | None

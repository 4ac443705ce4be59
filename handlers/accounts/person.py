"""How one person looks to another."""

from handlers.uploads import Link, thumbnail_path
from server.payload import Id, Payload
from storage.accounts import User


class Person(Payload):
    id: Id
    name: str
    avatar_url: str | None

    @classmethod
    def of(cls, row: User, link: Link) -> "Person":
        return cls(id=row.id, name=row.name, avatar_url=link_avatar(row, link))


def link_avatar(row: User, link: Link) -> str | None:
    return link(thumbnail_path(row.avatar_upload_id)) if row.avatar_upload_id else None

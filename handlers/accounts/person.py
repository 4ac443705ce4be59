"""How one person looks to another."""

from server.payload import Id, Payload
from storage.accounts import User


class Person(Payload):
    id: Id
    name: str
    avatar_url: str | None

    @classmethod
    def of(cls, row: User) -> "Person":
        return cls(id=row.id, name=row.name, avatar_url=None)

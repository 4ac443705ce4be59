"""What leaving looks like on the wire."""

from handlers.accounts.payloads import Secret
from server.payload import Id, Payload


class Leave(Payload):
    """The password; null where there is none, from a session begun in the last ten minutes."""

    password: Secret | None


class Erase(Payload):
    """The job: go on with an erasure, or send its receipt."""

    erasure_id: Id

"""What every namespace has without declaring it: joining, renewing a token, following a stream."""

from typing import Annotated

from pydantic import BaseModel
from pydantic import Field as Bounds

from server.contract import EVERYONE, Event, Namespace
from server.delivery import READY
from server.dispatch import EXPIRED, REFRESH, REFRESH_RATE, ConnectAuth, Dispatch, RefreshToken
from server.errors import ErrorBody
from server.http import StreamQuery
from server.payload import Instant, Nothing, Payload, Seq

CONNECT = "connect"
REFUSED = "connect_error"

CONNECT_ABOUT = """Join the namespace: the `auth` of a Socket.IO connect.

`after` is the seq of the last push that was seen; what came later is sent again, in order. Without
it the stream starts at its head. `epoch` is the one `stream:ready` told last time. A token in a
URL is refused."""

REFUSED_ABOUT = "The connect was refused: `message` is the error's code, `data` the error itself."


class StreamReady(Payload):
    """Where this stream starts: every push with a seq beyond `from` follows, once and in order.

    `reset` means that the stream cannot go on after what was seen last: fetch the state with the
    list events, and go on from `head`.
    """

    head: Seq
    start: Annotated[int, Bounds(alias="from", ge=0, examples=[17])]
    epoch: Annotated[str, Bounds(examples=["5f0c9a7e"])]
    reset: bool


class PushMeta(Payload):
    """Comes with a push: `seq` is contiguous per person and namespace."""

    seq: Seq
    at: Instant


class SignalMeta(Payload):
    """Comes with a signal, which has no number and is not sent again."""

    at: Instant


class ErrorAnswer(BaseModel):
    """An answer that says no."""

    error: ErrorBody


class Refusal(BaseModel):
    """Why a namespace could not be joined."""

    message: str
    data: ErrorBody


kernel = Namespace("*", "What every namespace has.")
"""Declared only to be described: `dispatch` and `delivery` do what stands here."""

stream_ready = kernel.signal(
    READY, StreamReady, "The namespace is joined; pushes follow. The first thing a socket is told."
)
token_expired = kernel.signal(
    EXPIRED,
    Nothing,
    "The access token has run out: only `token:refresh` is served now, and after a minute the "
    "connection closes.",
)


kernel.events[REFRESH] = Event(
    name=REFRESH,
    function=Dispatch.renew,
    request=RefreshToken,
    response=Nothing,
    roles=EVERYONE,
    rate=REFRESH_RATE,
    reads=True,
    at_least=0,
    about="Renew the whole connection, all its namespaces, with a newer access token.\n\n"
    "The token must be of the same person and sign-in.",
    errors=("unauthenticated", "token_expired", "forbidden"),
    namespace=kernel.name,
    batch=0,
)

ASKED = (ConnectAuth, RefreshToken, StreamQuery, ErrorAnswer, Refusal)
"""Shapes that the kernel reads, or sends without its nulls."""

TOLD = (StreamReady, PushMeta, SignalMeta, Nothing)
"""Shapes that the kernel sends whole."""

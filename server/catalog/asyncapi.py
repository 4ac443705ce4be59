"""The AsyncAPI document: every namespace as a channel, seen from the server's side."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from server.catalog.kernel import (
    CONNECT,
    CONNECT_ABOUT,
    REFUSED,
    REFUSED_ABOUT,
    ErrorAnswer,
    PushMeta,
    Refusal,
    SignalMeta,
    kernel,
)
from server.catalog.schemas import Schema, Schemas, collect_schemas
from server.catalog.wording import (
    ABOUT,
    TITLE,
    VERSION,
    Told,
    describe_call,
    describe_delivery,
    example_error,
    first_sentence,
    is_spoken,
    list_errors,
    list_told,
    mark_call,
    name_delivery,
    slug,
)
from server.contract import Event, Namespace
from server.dispatch import ConnectAuth
from server.outgoing import Push

Document = dict[str, Any]
CALLS_ABOUT = """

Ask with `emit(event, payload, ack)`; the answer comes to `ack`. What is told comes as
`(event, data, meta)`. One client's events in one namespace run in the order sent."""


def build_asyncapi(namespaces: Sequence[Namespace], public_url: str) -> Document:
    """What clients may ask over a socket and what they are told, as AsyncAPI 3.0."""
    schemas = collect_schemas(namespaces)
    spoken = [*filter(is_spoken, namespaces)]
    common = dict(_describe_messages(kernel, schemas)) | _describe_joining(schemas)
    parts = {
        "channels": {
            slug(namespace.name): {
                "address": namespace.name,
                "title": namespace.name,
                "description": namespace.about,
                "servers": [{"$ref": "#/servers/main"}],
                "messages": {
                    **{key: {"$ref": f"#/components/messages/{key}"} for key in common},
                    **dict(_describe_messages(namespace, schemas)),
                },
            }
            for namespace in spoken
        },
        "operations": {
            f"{slug(namespace.name)}.{key}": operation
            for namespace in spoken
            for key, operation in _describe_operations(namespace)
        },
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": TITLE, "version": VERSION, "description": ABOUT + CALLS_ABOUT},
        "defaultContentType": "application/json",
        "servers": {"main": _describe_server(public_url)},
        **parts,
        "components": {
            "messages": common,
            "schemas": schemas.used_in([parts, common]),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The access token, as `auth.token` of every connect.",
                }
            },
        },
    }


def _describe_server(public_url: str) -> Document:
    url = urlsplit(public_url)
    return {
        "host": url.netloc,
        "pathname": f"{url.path.rstrip('/')}/socket.io/",
        "protocol": "wss" if url.scheme == "https" else "ws",
        "description": "Socket.IO 5 over Engine.IO 4: WebSocket or HTTP long polling.",
        "security": [{"$ref": "#/components/securitySchemes/token"}],
    }


def _describe_joining(schemas: Schemas) -> dict[str, Document]:
    auth, refusal = schemas.asked(ConnectAuth), schemas.asked(Refusal)
    refused = {"message": "token_expired", "data": example_error("token_expired")["error"]}
    error = schemas.asked(ErrorAnswer)
    return {
        f"ask.{CONNECT}": _message(CONNECT, CONNECT_ABOUT, auth, schemas.example(auth)),
        f"tell.{REFUSED}": _message(REFUSED, REFUSED_ABOUT, refusal, refused),
        "answer.error": _message(
            "error", "The answer that says no.", error, example_error("not_found")
        ),
    }


def _describe_messages(namespace: Namespace, schemas: Schemas) -> Iterator[tuple[str, Document]]:
    for event in namespace.events.values():
        asked, data = schemas.asked(event.request), schemas.told(event.response)
        yield (
            f"ask.{event.name}",
            _message(event.name, event.about, asked, schemas.example(asked)),
        )
        yield (
            f"answer.{event.name}",
            _message(
                event.name,
                f"The answer to `{event.name}`.",
                _wrap_data(data),
                {"data": schemas.example(data)},
            ),
        )
    for told in list_told(namespace):
        parts = [schemas.told(told.data), schemas.told(_meta_of(told))]
        example = [schemas.example(part) for part in parts]
        message = _message(told.name, told.about, _pair(parts), example)
        yield f"tell.{told.name}", message | {"x-delivery": name_delivery(told)}


def _message(name: str, about: str, payload: Schema, example: Any) -> Document:
    return {
        "name": name,
        "title": name,
        "summary": first_sentence(about),
        "payload": payload,
        "examples": [{"name": "example", "payload": example}],
    }


def _wrap_data(data: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {"data": data},
        "required": ["data"],
        "additionalProperties": False,
    }


def _pair(parts: list[Schema]) -> Schema:
    # A tuple the way of draft 07, which AsyncAPI's own schemas follow.
    return {
        "type": "array",
        "items": parts,
        "additionalItems": False,
        "minItems": 2,
        "maxItems": 2,
    }


def _describe_operations(namespace: Namespace) -> Iterator[tuple[str, Document]]:
    channel = f"#/channels/{slug(namespace.name)}"
    yield f"ask.{CONNECT}", _operate("receive", channel, f"ask.{CONNECT}", CONNECT_ABOUT)
    yield f"tell.{REFUSED}", _operate("send", channel, f"tell.{REFUSED}", REFUSED_ABOUT)
    for event in (*kernel.events.values(), *namespace.events.values()):
        key = f"ask.{event.name}"
        yield key, _operate("receive", channel, key, describe_call(event)) | _reply(channel, event)
    for told in (*list_told(kernel), *list_told(namespace)):
        key = f"tell.{told.name}"
        about = f"{told.about}\n\n- **Delivery:** {describe_delivery(told)}"
        marks = {"x-delivery": name_delivery(told)}
        yield key, _operate("send", channel, key, about) | marks


def _operate(action: str, channel: str, key: str, about: str) -> Document:
    return {
        "action": action,
        "channel": {"$ref": channel},
        "title": key.partition(".")[2],
        "summary": first_sentence(about),
        "description": about,
        "messages": [{"$ref": f"{channel}/messages/{key}"}],
    }


def _reply(channel: str, event: Event) -> Document:
    keys = (f"answer.{event.name}", "answer.error")
    return {
        "reply": {
            "channel": {"$ref": channel},
            "messages": [{"$ref": f"{channel}/messages/{key}"} for key in keys],
        },
        **mark_call(event, list_errors(event, over_http=False)),
    }


def _meta_of(told: Told) -> type[PushMeta] | type[SignalMeta]:
    return PushMeta if isinstance(told, Push) else SignalMeta

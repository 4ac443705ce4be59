"""The OpenAPI document: the declared routes, and every event for callers without a socket."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, get_origin, get_type_hints

from server.bodies import File, Html, Redirect, Reply
from server.catalog.kernel import ErrorAnswer, PushMeta
from server.catalog.schemas import Schema, Schemas, collect_schemas, find_references
from server.catalog.upkeep import UPKEEP
from server.catalog.wording import (
    ABOUT,
    TITLE,
    VERSION,
    describe_call,
    example_error,
    first_sentence,
    is_in_query,
    is_spoken,
    list_errors,
    mark_call,
    slug,
    takes_file,
)
from server.contract import PUBLIC, Call, Event, Namespace, Route
from server.errors import Error
from server.forms import FILE
from server.http import STREAM_RATE, StreamQuery
from server.outgoing import Push

Document = dict[str, Any]

JSON = "application/json"
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a field and of a cookie
RESPONSES = "#/components/responses/"
STREAM_ERRORS = (
    "invalid",
    "unauthenticated",
    "token_expired",
    "rate_limited",
    "unavailable",
    "internal",
)

SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a session.",
    },
    "link": {
        "type": "apiKey",
        "in": "query",
        "name": "signature",
        "description": "A signed link, as it stands in an answer, opens its path for an hour or "
        "two to whoever has it.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": REFRESH_TOKEN,
        "description": "The refresh token of a session signed in with `cookie: true`: httpOnly, "
        "SameSite=Strict, sent to `/auth` only.",
    },
}

_VARIABLE = re.compile(r"\{(\w+)(?::[^{}]*)?\}")


def build_openapi(namespaces: Sequence[Namespace], public_url: str) -> Document:
    """What clients may ask over HTTP, as OpenAPI 3.1."""
    schemas = collect_schemas(namespaces)
    paths: dict[str, Document] = {}
    for path, method, operation in _describe_paths(namespaces, schemas):
        paths.setdefault(path, {})[method.lower()] = operation
    tags = [{"name": slug(ns.name), "description": ns.about} for ns in namespaces]
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": ABOUT},
        "servers": [{"url": public_url}],
        "tags": [*tags, {"name": "upkeep", "description": "Health, metrics and documents."}],
        "security": [{"bearer": []}],
        "paths": paths | UPKEEP,
        "components": {
            "schemas": schemas.used_in([paths, schemas.asked(ErrorAnswer)]),
            "responses": {
                name: _describe_errors(name.split("."), schemas)
                for name in sorted({*find_references(paths, RESPONSES)})
            },
            "examples": {code: {"value": example_error(code)} for code in Error.known},
            "headers": {
                "RetryAfter": {
                    "description": "Seconds after which to try again.",
                    "schema": {"type": "integer", "minimum": 1},
                }
            },
            "securitySchemes": SECURITY,
        },
    }


def strip_patterns(path: str) -> str:
    r"""A path as documents write it: `/tests/{id:\d+}` is `/tests/{id}`."""
    return _VARIABLE.sub(r"{\1}", path)


def event_path(event: Event) -> str:
    """Where the event can be asked without a socket."""
    return f"/events/{slug(event.namespace)}/{event.name}"


def _describe_paths(
    namespaces: Sequence[Namespace], schemas: Schemas
) -> Iterator[tuple[str, str, Document]]:
    for namespace in namespaces:
        for route in namespace.routes.values():
            path = strip_patterns(route.path)
            yield path, route.method, _describe_route(namespace, route, path, schemas)
    for namespace in filter(is_spoken, namespaces):
        path = f"/events/{slug(namespace.name)}"
        yield path, "get", _describe_stream(namespace, schemas)
        for event in namespace.events.values():
            yield event_path(event), "post", _describe_event(namespace, event, schemas)


def _describe_event(namespace: Namespace, event: Event, schemas: Schemas) -> Document:
    data = schemas.told(event.response)
    answer = _wrap({"data": data})
    path = event_path(event)
    return {
        **_describe_call(namespace, event, "post", path),
        "requestBody": _describe_body(schemas.asked(event.request), schemas),
        "responses": {
            "200": _describe_answer("The answer.", answer, {"data": schemas.example(data)}),
            **_refer_to_errors(list_errors(event, over_http=True)),
        },
    }


def _describe_route(namespace: Namespace, route: Route, path: str, schemas: Schemas) -> Document:
    asked = schemas.asked(route.request)
    fields = schemas.resolve(asked).get("properties", {})
    in_path = _VARIABLE.findall(route.path)
    in_body = [name for name in fields if name not in in_path]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _field_schema(fields, name)}
        for name in in_path
    ]
    operation = _describe_call(namespace, route, route.method.lower(), path)
    if is_in_query(route):
        parameters += _describe_query(asked, in_body, schemas)
    elif takes_file(route):
        operation["requestBody"] = _describe_form(asked, schemas)
    elif in_body:
        operation["requestBody"] = _describe_body(asked, schemas, without=in_path)
    if parameters:
        operation["parameters"] = parameters
    operation["responses"] = {
        **_describe_success(route, schemas),
        **_refer_to_errors(list_errors(route, over_http=True)),
    }
    return operation


def _describe_call(namespace: Namespace, call: Call, method: str, path: str) -> Document:
    operation: Document = {
        "operationId": re.sub(r"\W+", "_", f"{method}{path}"),
        "tags": [slug(namespace.name)],
        "summary": first_sentence(call.about),
        "description": describe_call(call),
        **mark_call(call, list_errors(call, over_http=True)),
    }
    if isinstance(call, Route) and call.signed:
        operation["security"] = [{"bearer": []}, {"link": []}]
    if call.roles == PUBLIC:
        by_cookie = REFRESH_TOKEN in call.request.model_fields
        operation["security"] = [{}, {"cookie": []}] if by_cookie else []
    return operation


def _describe_body(asked: Schema, schemas: Schemas, without: Sequence[str] = ()) -> Document:
    shape, example = schemas.resolve(asked), schemas.example(asked)
    required = bool(shape.get("required"))
    if without:
        fields = {k: v for k, v in shape["properties"].items() if k not in without}
        needed = [name for name in shape.get("required", ()) if name not in without]
        asked = shape | {"properties": fields, "required": needed}
        example = {name: value for name, value in example.items() if name not in without}
    return {"required": required, "content": {JSON: {"schema": asked, "example": example}}}


def _describe_form(asked: Schema, schemas: Schemas) -> Document:
    """The fields, and the file among them."""
    shape = schemas.resolve(asked)
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    form = shape | {
        "properties": shape["properties"] | {FILE: file},
        "required": [*shape.get("required", ()), FILE],
    }
    return {"required": True, "content": {"multipart/form-data": {"schema": form}}}


def _describe_query(asked: Schema, names: Sequence[str], schemas: Schemas) -> Iterator[Document]:
    shape = schemas.resolve(asked)
    for name in names:
        yield {
            "name": name,
            "in": "query",
            "required": name in shape.get("required", ()),
            "schema": shape["properties"][name],
        }


def _field_schema(fields: Schema, name: str) -> Schema:
    schema: Schema = fields.get(name, {"type": "string"})
    return schema


def _describe_success(route: Route, schemas: Schemas) -> Document:
    returned = get_type_hints(route.function).get("return")
    location = {"Location": {"schema": {"type": "string", "format": "uri"}}}
    elsewhere = {"302": {"description": "Go on there.", "headers": location}}
    if returned is Redirect:
        return elsewhere
    if returned is Html:
        return {"200": {"description": "A page.", "content": {"text/html": {}}}}
    if returned == File | Redirect:
        content: Document = {"*/*": {}}
        part = {"description": "The range that was asked for.", "content": content}
        return {"200": {"description": "The bytes.", "content": content}, "206": part, **elsewhere}
    if route.response is None:
        answer: Document = {"description": "Done."}
    else:
        told = schemas.told(route.response)
        answer = _describe_answer("The answer.", told, schemas.example(told))
    if get_origin(returned) is Reply:
        cookie = {"schema": {"type": "string"}, "description": "Where a cookie is used."}
        answer["headers"] = {"Set-Cookie": cookie}
    return {str(route.status): answer}


def _describe_stream(namespace: Namespace, schemas: Schemas) -> Document:
    asked = schemas.asked(StreamQuery)
    pushes = [_describe_item(push, schemas) for push in namespace.pushes.values()]
    item: Schema = {"oneOf": pushes} if pushes else {"type": "object"}
    answer = _wrap(
        {
            "items": {"type": "array", "items": item},
            "head": {"type": "integer", "minimum": 0},
            "epoch": {"type": "string"},
            "reset": {"type": "boolean"},
        }
    )
    items = [schemas.example(push) for push in pushes[:1]]
    example = {"items": items, "head": 17, "epoch": "5f0c9a7e", "reset": False}
    names = schemas.resolve(asked)["properties"]
    return {
        "operationId": f"get_events_{slug(namespace.name)}",
        "tags": [slug(namespace.name)],
        "summary": f"What a person is told in {namespace.name}, by long polling",
        "description": "Every push with a seq beyond `after`, in order; while there is none, "
        "waits up to `wait` seconds for one. Without `after` the stream starts at its head. "
        "`reset` means that it cannot go on there: fetch the state with the list events, and go "
        "on from `head`. Signals are not in it.",
        "x-rate": {"count": STREAM_RATE.count, "per": STREAM_RATE.per},
        "parameters": [*_describe_query(asked, names, schemas)],
        "responses": {
            "200": _describe_answer("What is new.", answer, example),
            **_refer_to_errors(STREAM_ERRORS),
        },
    }


def _describe_item(push: Push[Any], schemas: Schemas) -> Schema:
    fields = {
        "event": {"const": push.name},
        "data": schemas.told(push.data),
        "meta": schemas.told(PushMeta),
    }
    return _wrap(fields) | {"description": push.about}


def _wrap(fields: Schema) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "required": [*fields],
        "additionalProperties": False,
    }


def _describe_answer(about: str, schema: Schema, example: Any) -> Document:
    return {"description": about, "content": {JSON: {"schema": schema, "example": example}}}


def _refer_to_errors(codes: Sequence[str]) -> Document:
    """By status; the answers themselves stand among the components, each set of codes once."""
    ordered = sorted(codes, key=_find_status)
    groups = groupby(ordered, _find_status)
    return {str(status): {"$ref": RESPONSES + ".".join(same)} for status, same in groups}


def _describe_errors(codes: Sequence[str], schemas: Schemas) -> Document:
    schema = schemas.asked(ErrorAnswer)
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    answer: Document = {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {JSON: {"schema": schema, "examples": examples}},
    }
    if any(Error.known[code].retryable for code in codes):
        answer["headers"] = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
    return answer


def _find_status(code: str) -> int:
    return Error.known[code].status

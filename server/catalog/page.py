"""The page under /docs: the whole contract, to read and to try, in one HTML file of its own."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from server.catalog.kernel import ErrorAnswer, kernel
from server.catalog.notation import write_json, write_line, write_prose, write_shape, write_type
from server.catalog.openapi import event_path, strip_patterns
from server.catalog.schemas import Schema, Schemas, collect_schemas
from server.catalog.wording import (
    ABOUT,
    TITLE,
    Told,
    describe_delivery,
    describe_effect,
    describe_rate,
    describe_roles,
    example_error,
    list_errors,
    list_told,
    name_delivery,
)
from server.contract import Call, Event, Namespace, Route
from server.dispatch import ConnectAuth
from server.errors import Error

_FOLDER = Path(__file__).parent


def render_page(namespaces: Sequence[Namespace], public_url: str) -> str:
    """The page as text. It needs nothing from elsewhere: style and script are in it."""
    schemas = collect_schemas(namespaces)
    everything = [kernel, *namespaces]
    return Template(_read("page.html")).substitute(
        title=escape(TITLE),
        style=_read("page.css"),
        script=_read("page.js"),
        about=write_prose(ABOUT),
        url=escape(public_url),
        auth=write_shape(schemas.asked(ConnectAuth), schemas),
        navigation="".join(map(_write_links, everything)),
        namespaces="".join(_write_namespace(ns, schemas) for ns in everything),
        errors="".join(map(_write_error, Error.known.items())),
        error_shape=write_shape(schemas.components["ErrorBody"], schemas),
        error_example=write_json(example_error("rate_limited")),
        shapes="".join(_write_shapes(namespaces, schemas)),
    )


@cache
def guard_page() -> str:
    """The page's Content-Security-Policy: its own style and script, requests to its own server."""
    style, script = (_hash(_read(name)) for name in ("page.css", "page.js"))
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def anchor(namespace: Namespace, kind: str, name: str) -> str:
    """Where on the page something stands."""
    return "-".join(re.findall(r"\w+", f"{namespace.name} {kind} {name}"))


@cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _heading(namespace: Namespace) -> str:
    return "Every namespace" if namespace is kernel else namespace.name


def _write_links(namespace: Namespace) -> str:
    links = [
        *(("ask", name, name) for name in namespace.events),
        *(("told", told.name, f"← {told.name}") for told in list_told(namespace)),
        *(("http", name, name) for name in namespace.routes),
    ]
    items = "".join(
        f"<li><a href='#{anchor(namespace, kind, name)}'>{escape(text)}</a></li>"
        for kind, name, text in links
    )
    return f"<details><summary>{escape(_heading(namespace))}</summary><ul>{items}</ul></details>"


def _write_namespace(namespace: Namespace, schemas: Schemas) -> str:
    events = (_write_event(namespace, event, schemas) for event in namespace.events.values())
    told = (_write_told(namespace, each, schemas) for each in list_told(namespace))
    routes = (_write_route(namespace, route, schemas) for route in namespace.routes.values())
    return (
        f"<section><h2>{escape(_heading(namespace))}</h2>{write_prose(namespace.about)}"
        f"{_write_part('Ask', events)}{_write_part('Told', told)}{_write_part('HTTP', routes)}"
        "</section>"
    )


def _write_part(title: str, articles: Iterable[str]) -> str:
    written = "".join(articles)
    return f"<h3>{title}</h3>{written}" if written else ""


def _write_event(namespace: Namespace, event: Event, schemas: Schemas) -> str:
    path = event_path(event)
    answer = {"data": schemas.example(schemas.told(event.response))}
    form = "" if namespace is kernel else _write_form("POST", path, event, schemas)
    head = f"<h4><code>{escape(event.name)}</code></h4>"
    target = anchor(namespace, "ask", event.name)
    return _write_call(event, schemas, target=target, head=head, answer=answer, form=form)


def _write_route(namespace: Namespace, route: Route, schemas: Schemas) -> str:
    path = strip_patterns(route.path)
    answer = schemas.example(schemas.told(route.response)) if route.response else None
    form = _write_form(route.method, path, route, schemas)
    head = (
        f"<h4><code><b>{escape(route.method)}</b> {escape(path)}</code> "
        f"<small>→ {route.status}</small></h4>"
    )
    target = anchor(namespace, "http", route.name)
    return _write_call(route, schemas, target=target, head=head, answer=answer, form=form)


def _write_call(
    call: Call, schemas: Schemas, *, target: str, head: str, answer: Any, form: str
) -> str:
    asked, told = schemas.asked(call.request), schemas.told(call.response)
    errors = list_errors(call, over_http=isinstance(call, Route))
    shown = "nothing" if call.response is None else write_type(told)
    return (
        f"<article id='{target}'>{head}{write_prose(call.about)}<dl>"
        f"<dt>For</dt><dd>{escape(describe_roles(call.roles))}</dd>"
        f"<dt>Rate</dt><dd>{escape(describe_rate(call.rate))}</dd>"
        f"<dt>Effect</dt><dd>{write_line(describe_effect(call))}</dd>"
        f"<dt>Errors</dt><dd>{_link_errors(errors, call.errors)}</dd></dl>"
        f"<div class='pair'><div><h5>Request</h5>{write_shape(asked, schemas)}"
        f"<pre>{write_json(schemas.example(asked))}</pre></div>"
        f"<div><h5>Answer</h5><p>{shown}</p><pre>{write_json(answer)}</pre></div></div>"
        f"{form}</article>"
    )


def _write_told(namespace: Namespace, told: Told, schemas: Schemas) -> str:
    data = schemas.told(told.data)
    delivery = name_delivery(told)
    return (
        f"<article id='{anchor(namespace, 'told', told.name)}'>"
        f"<h4><code>{escape(told.name)}</code> <span class='{delivery}'>"
        f"{'push' if delivery == 'logged' else 'signal'}</span></h4>{write_prose(told.about)}"
        f"<dl><dt>Data</dt><dd>{write_type(data)}</dd>"
        f"<dt>Delivery</dt><dd>{escape(describe_delivery(told))}</dd></dl>"
        f"<pre>{write_json(schemas.example(data))}</pre></article>"
    )


def _link_errors(codes: Sequence[str], declared: Sequence[str]) -> str:
    """The call's own errors in bold, then those that any call may meet."""
    ordered = sorted(codes, key=lambda code: code not in declared)
    return ", ".join(
        f"<a href='#error-{code}'>{f'<b>{code}</b>' if code in declared else code}</a>"
        for code in ordered
    )


def _write_form(method: str, path: str, call: Call, schemas: Schemas) -> str:
    payload = write_json(schemas.example(schemas.asked(call.request)))
    return (
        "<details class='try'><summary>Try it</summary>"
        f"<form data-method='{escape(method)}' data-path='{escape(path)}'>"
        f"<label>{escape(method)} {escape(path)}"
        f"<textarea rows='6' spellcheck='false'>{payload}</textarea></label>"
        "<button>Send</button><output></output></form></details>"
    )


def _write_error(known: tuple[str, type[Error]]) -> str:
    code, error = known
    again = "yes" if error.retryable else "no"
    return (
        f"<tr id='error-{code}'><th><code>{code}</code></th><td>{error.status}</td>"
        f"<td>{again}</td><td>{escape(error().body().message)}</td></tr>"
    )


def _write_shapes(namespaces: Sequence[Namespace], schemas: Schemas) -> Iterator[str]:
    """Every named shape but the requests, which stand with their calls."""
    used = schemas.used_in(_list_linked(namespaces, schemas))
    for name, shape in used.items():
        about = write_prose(shape.get("description", ""))
        yield (
            f"<article id='shape-{escape(name)}'><h4><code>{escape(name)}</code></h4>"
            f"{about}{write_shape(shape, schemas)}</article>"
        )


def _list_linked(namespaces: Sequence[Namespace], schemas: Schemas) -> list[Schema]:
    linked = [schemas.asked(ErrorAnswer)]
    for namespace in (kernel, *namespaces):
        linked += [schemas.told(told.data) for told in list_told(namespace)]
        for call in (*namespace.events.values(), *namespace.routes.values()):
            request = schemas.resolve(schemas.asked(call.request))
            linked += [schemas.told(call.response), *request.get("properties", {}).values()]
    return linked

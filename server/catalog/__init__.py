"""The contract as documents: AsyncAPI, OpenAPI and a page to read, all made from `Namespace`s."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from aiohttp import web

from server.catalog.files import BUILDERS, render, write_documents
from server.catalog.page import guard_page, render_page
from server.contract import Namespace

__all__ = ["attach_documents", "render", "write_documents"]


@dataclass(frozen=True, slots=True)
class Ready:
    """A document as it is sent."""

    body: bytes
    media_type: str
    headers: dict[str, str]


def attach_documents(
    app: web.Application, namespaces: Sequence[Namespace], public_url: str
) -> None:
    """Serve the documents and the page under `/docs`, and lead there from `/`.

    They are built when somebody asks first, in a thread: a server that starts or serves others
    has better things to do.
    """

    @cache
    def build(name: str) -> Ready:
        if name == "page":
            page = render_page(namespaces, public_url)
            headers = {"Content-Security-Policy": guard_page(), "X-Content-Type-Options": "nosniff"}
            return _prepare(page, "text/html", headers)
        return _prepare(render(BUILDERS[name](namespaces, public_url)), "application/json", {})

    def serve(path: str, name: str) -> None:
        async def answer(request: web.Request) -> web.Response:
            return _send(request, await asyncio.to_thread(build, name))

        app.router.add_get(path, answer)

    serve("/docs", "page")
    for name in BUILDERS:
        serve(f"/docs/{name}", name)
    app.router.add_get("/", _lead_to_docs)


def _prepare(text: str, media_type: str, headers: dict[str, str]) -> Ready:
    body = text.encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    return Ready(body, media_type, headers | {"ETag": etag, "Cache-Control": "no-cache"})


def _send(request: web.Request, ready: Ready) -> web.Response:
    if request.headers.get("If-None-Match") == ready.headers["ETag"]:
        return web.Response(status=304, headers=ready.headers)
    return web.Response(
        body=ready.body, content_type=ready.media_type, charset="utf-8", headers=ready.headers
    )


async def _lead_to_docs(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/docs"})

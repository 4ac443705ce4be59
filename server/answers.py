"""From plain values to HTTP responses."""

from typing import Any

from aiohttp import web

from server.bodies import Cookie, File, Html, Redirect, Reply
from server.calls import dump
from server.context import Caller
from server.contract import Route
from server.errors import Error
from server.links import PERIOD

FILE_HEADERS = {
    # What people upload is shown, never run.
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": f"private, max-age={PERIOD}, immutable",
}
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Cache-Control": "no-store",
}


def respond(route: Route, answer: Any, caller: Caller, *, secure: bool) -> web.StreamResponse:
    """`secure` is whether cookies travel over TLS alone."""
    if isinstance(answer, Error):
        return refuse(answer, caller)
    if isinstance(answer, File):
        headers = {**FILE_HEADERS, "Content-Type": answer.type}
        headers["Content-Disposition"] = answer.disposition
        if not answer.lasting:
            headers["Cache-Control"] = "no-store"
        return web.FileResponse(answer.path, headers=headers)
    if isinstance(answer, Html):
        return web.Response(text=answer.text, content_type="text/html", headers=PAGE_HEADERS)
    cookies: tuple[Cookie, ...] = ()
    if isinstance(answer, Redirect):
        response = web.Response(status=302, headers={"Location": answer.location})
        cookies = answer.cookies
    else:
        if isinstance(answer, Reply):
            answer, cookies = answer.body, answer.cookies
        response = (
            web.Response(status=route.status)
            if route.response is None
            else write_json(route.status, dump(answer))
        )
    for cookie in cookies:
        _set_cookie(response, cookie, secure=secure)
    response.headers["Cache-Control"] = "no-store"
    return response


def write_json(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="application/json")


def refuse(error: Error, caller: Caller, status: int | None = None) -> web.Response:
    response = write_json(status or error.status, f'{{"error":{error.json(caller.locale)}}}')
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _set_cookie(response: web.StreamResponse, cookie: Cookie, *, secure: bool) -> None:
    response.set_cookie(
        cookie.name,
        cookie.value,
        path=cookie.path,
        max_age=cookie.max_age,
        httponly=True,
        secure=secure,
        samesite=cookie.same_site,
    )

"""HTTP: the declared routes, and every declared event for callers without a socket."""

import asyncio
import contextlib
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Annotated, Any

import orjson
import structlog
from aiohttp import web
from pydantic import Field as Bounds

from server import incoming, texts
from server.answers import refuse, respond, write_json
from server.auth import Identity, new_id
from server.batches import Batches
from server.bodies import Receives
from server.bus import Notice
from server.calls import (
    TIMEOUT,
    Request,
    admit,
    authenticate,
    full_name,
    guarded,
    let_in,
    perform,
    validate,
)
from server.context import Caller
from server.contract import PUBLIC, Call, Namespace, Route
from server.delivery import Delivery
from server.errors import (
    Error,
    Gone,
    Invalid,
    NotFound,
    TooLarge,
    Unauthenticated,
    UnknownEvent,
    UnsupportedType,
)
from server.forms import RECEIVE_TIMEOUT, Reception
from server.limits import Rate
from server.payload import Payload, Seq, iso
from server.runtime import Runtime

MAX_BODY = 256 * 1024
MAX_WAIT = 30
STREAM_RATE = Rate(120, per=60)
SIGNATURE = ("expires", "signature")
REQUEST_ID = web.RequestKey("request_id", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StreamQuery(Payload):
    """Where to read a stream on, and how many seconds to wait while there is nothing."""

    after: Seq | None = None
    epoch: Annotated[str, Bounds(max_length=64)] | None = None
    wait: Annotated[int, Bounds(ge=0, le=MAX_WAIT)] = 0


class Http:
    def __init__(
        self,
        runtime: Runtime,
        namespaces: Mapping[str, Namespace],
        delivery: Delivery,
        batches: Batches,
    ) -> None:
        self._runtime = runtime
        self._namespaces = namespaces
        self._delivery = delivery
        self._batches = batches
        self._waiters: set[_Waiter] = set()
        self._incoming = runtime.settings.data_dir / "incoming"
        self._reception = Reception(self._incoming)

    def attach(self, app: web.Application) -> None:
        incoming.clear(self._incoming)
        for namespace in self._namespaces.values():
            for route in namespace.routes.values():
                app.router.add_route(route.method, route.path, self._serve(route))
        app.router.add_post("/events/{namespace}/{event}", self._post_event)
        app.router.add_get("/events/{namespace}", self._get_events)

    def release(self) -> None:
        """Answer those who wait for news: the server is about to stop."""
        for waiter in self._waiters:
            waiter.heard.set()

    def read_caller(self, request: web.Request) -> Caller:
        return Caller(
            address=_find_address(request, self._runtime.settings.trusted_proxies),
            user_agent=_printable(request.headers.get("User-Agent", ""))[:200],
            locale=texts.choose(request.headers.get("Accept-Language", "")),
            cookies=request.cookies,
            request_id=request[REQUEST_ID],
        )

    def _serve(self, route: Route) -> Handler:
        secure = self._runtime.settings.environment == "production"

        async def serve(http_request: web.Request) -> web.StreamResponse:
            async def work() -> Any:
                if route.receives is not None:
                    return await self._receive(http_request, route, route.receives, caller)
                return await self._take(http_request, route, caller)

            caller = self.read_caller(http_request)
            timeout = RECEIVE_TIMEOUT if route.receives else TIMEOUT
            answer = await guarded(route.name, work, at_least=route.at_least, timeout=timeout)
            return respond(route, answer, caller, secure=secure)

        return serve

    async def _take(self, http_request: web.Request, route: Route, caller: Caller) -> Any:
        signed = route.signed and self._is_signed(http_request)
        anybody = signed or route.roles == PUBLIC
        user = None if anybody else await self._identify(http_request)
        raw = dict(http_request.query) if route.in_query else await _read_json(http_request)
        if route.signed:
            raw = {name: value for name, value in raw.items() if name not in SIGNATURE}
        if isinstance(raw, dict):
            raw |= _read_variables(http_request, as_text=route.in_query)
        await let_in(self._runtime, route, caller, user, anybody=anybody)
        payload = validate(route.request, raw, from_strings=route.in_query)
        return await perform(self._runtime, Request(route, caller, user, payload))

    async def _receive(
        self, http_request: web.Request, route: Route, rule: Receives, caller: Caller
    ) -> Any:
        user = await self._identify(http_request)
        # Before anything of the file is taken in.
        await let_in(self._runtime, route, caller, user, anybody=False)
        async with self._reception.receive(http_request, rule, str(user.id)) as (fields, file):
            payload = validate(route.request, fields, from_strings=True)
            return await perform(self._runtime, Request(route, caller, user, payload, file))

    def _is_signed(self, http_request: web.Request) -> bool:
        """Whether the request comes by a signed link that works.

        One that does not is no harm to whoever may see the thing anyway, and says who they are.

        Raises: Unauthenticated, Gone.
        """
        expires, signature = (http_request.query.get(name, "") for name in SIGNATURE)
        is_ours = self._runtime.links.check(http_request.path, expires, signature)
        if is_ours and self._runtime.clock().timestamp() <= int(expires):
            return True
        if signature and "Authorization" not in http_request.headers:
            raise Gone if is_ours else Unauthenticated
        return False

    async def _post_event(self, http_request: web.Request) -> web.StreamResponse:
        """Any declared event, one at a time; the answer is the socket's."""
        caller = self.read_caller(http_request)
        names = http_request.match_info
        namespace = self._namespaces.get(f"/{names['namespace']}")
        event = namespace.events.get(names["event"]) if namespace else None
        if event is None:
            return refuse(UnknownEvent(), caller)

        async def work() -> str:
            raw = await _read_json(http_request)
            request = await self._admit(http_request, event, caller, raw)
            answer = await self._batches.perform(event, request)
            if isinstance(answer, Error):
                raise answer
            return answer

        answer = await guarded(full_name(event), work, at_least=event.at_least)
        if isinstance(answer, Error):
            return refuse(answer, caller)
        return write_json(200, f'{{"data":{answer}}}')

    async def _get_events(self, http_request: web.Request) -> web.StreamResponse:
        """A stream by long polling: what is newer than `after`, or what comes while one waits."""
        caller = self.read_caller(http_request)
        namespace = f"/{http_request.match_info['namespace']}"

        async def work() -> str:
            if namespace not in self._namespaces:
                raise NotFound
            user = await self._identify(http_request)
            await self._runtime.limits.hit(STREAM_RATE, f"GET {namespace}", str(user.id))
            query = validate(StreamQuery, dict(http_request.query), from_strings=True)
            answer = await self._read_stream(user.id, namespace, query)
            if query.wait:
                # The session may have ended while it waited.
                await self._identify(http_request)
            return answer

        answer = await guarded("GET /events", work, timeout=MAX_WAIT + 10)
        if isinstance(answer, Error):
            return refuse(answer, caller)
        return write_json(200, answer)

    async def _read_stream(self, user_id: int, namespace: str, query: StreamQuery) -> str:
        waiter = _Waiter(namespace)
        self._waiters.add(waiter)
        self._delivery.follow(user_id, waiter)
        try:
            self._runtime.bus.subscribe(user_id)
            start = await self._delivery.locate(user_id, namespace, query.after, query.epoch)
            waiter.after = start.after
            items = await self._delivery.read(user_id, namespace, start.after)
            if not items and not start.reset and query.wait:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(waiter.heard.wait(), query.wait)
                items = await self._delivery.read(user_id, namespace, start.after)
        finally:
            self._delivery.unfollow(user_id, waiter)
            self._waiters.discard(waiter)
        head = max(start.head, items[-1].seq or 0) if items else start.head
        body = {"head": head, "epoch": start.epoch, "reset": start.reset}
        listed = ",".join(map(_encode_item, items))
        return f'{{"data":{{"items":[{listed}],{orjson.dumps(body).decode()[1:]}}}'

    async def _admit(
        self,
        http_request: web.Request,
        call: Call,
        caller: Caller,
        raw: Any,
    ) -> Request:
        user = await self._identify(http_request)
        return await admit(self._runtime, call, caller, user, raw, came_at=monotonic())

    async def _identify(self, http_request: web.Request) -> Identity:
        scheme, _, token = http_request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        identity, _ = await authenticate(self._runtime, token)
        return identity


class _Waiter:
    """A long poll that waits for anything new in one stream."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.heard = asyncio.Event()
        self.after: int | None = None

    def offer(self, notice: Notice) -> None:
        if notice.seq is not None:
            self.behind(notice.seq)

    def behind(self, head: int) -> None:
        # What was told before its place was known is in the log that it reads next.
        if self.after is not None and head > self.after:
            self.heard.set()


@web.middleware
async def name_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Each request gets an id, whatever it may bring as one: its lines in the log carry it."""
    request[REQUEST_ID] = new_id()
    structlog.contextvars.bind_contextvars(request_id=request[REQUEST_ID])
    return await handler(request)


async def tell_name(request: web.Request, response: web.StreamResponse) -> None:
    """Files and web sockets write their headers themselves, hence no middleware."""
    if REQUEST_ID in request:
        response.headers["X-Request-Id"] = request[REQUEST_ID]


@web.middleware
async def map_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """aiohttp's own refusals look like all others."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        ours = {404: NotFound, 405: NotFound, 413: TooLarge}.get(error.status, Invalid)()
        return refuse(ours, Caller(), status=error.status)


def allow_origins(origins: tuple[str, ...]) -> Any:
    """CORS for the routes; the socket's path has the same rule in its engine."""

    @web.middleware
    async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        allowed = origin and ("*" in origins or origin in origins)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response: web.StreamResponse = web.Response(status=204)
        else:
            response = await handler(request)
        if allowed and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, DELETE"
            response.headers["Access-Control-Expose-Headers"] = "X-Request-Id"
            response.headers["Vary"] = "Origin"
        return response

    return cors


def _read_variables(request: web.Request, *, as_text: bool) -> dict[str, Any]:
    """What stands in the path; numbers as such beside a JSON body, where they are."""
    found = request.match_info
    return {k: v if as_text or not v.isdigit() else int(v) for k, v in found.items()}


async def _read_json(request: web.Request) -> Any:
    if not request.can_read_body:
        return {}
    if request.content_type != "application/json":
        raise UnsupportedType
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge from None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Invalid.of("", "malformed_json", "The body is not valid JSON") from None


def _find_address(request: web.Request, trusted: Any) -> str:
    """The client's address: the last one that is not a proxy of ours."""
    address = request.remote or ""
    if not trusted:
        return address[:45]
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    while hops and _is_in(address, trusted):
        hop = hops.pop().strip()
        if not hop:
            break
        address = hop
    return address[:45]


def _printable(text: str) -> str:
    """Headers are bytes: what is no UTF-8 comes as surrogates, which no database takes."""
    return text.encode("utf-8", "replace").decode()


def _is_in(address: str, networks: Any) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def _encode_item(notice: Notice) -> str:
    meta = f'{{"seq":{notice.seq},"at":"{iso(notice.at)}"}}'
    return f'{{"event":"{notice.event}","data":{notice.data},"meta":{meta}}}'

"""The same payloads over HTTP: every answer is data or an error of the list, never a fault."""

import json
from collections import Counter
from random import Random
from typing import Any

import pytest
from aiohttp import ClientSession

from handlers import NAMESPACES
from server.contract import Route
from server.errors import Error
from tests.fuzz.fuzzer import find_flaw
from tests.fuzz.packets import Asking, Scene, make_payload
from tests.fuzz.seeds import ONLY, SEEDS
from tests.fuzz.setting import unharmed
from tests.fuzz.values import deep, pick_awkward
from tests.instance import Instance

EVENTS, ROUTES = 500, 150
ROUTE_LIST = [route for namespace in NAMESPACES for route in namespace.routes.values()]
AS_JSON = {"Content-Type": "application/json"}
HEADERS: tuple[dict[str, str], ...] = (
    {"Authorization": "Bearer nonsense"},
    {"Authorization": "Basic eDp5"},
    {"Authorization": "Bearer \u00ff\u00fe"},
    {"Accept-Language": "ru;q=x, *;q=9, " + "en," * 500},
    {"Cookie": "refresh_token=\u00ff; ;;="},
    {"X-Forwarded-For": ",".join(["nonsense"] * 200)},
    {"Content-Type": "text/plain"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"User-Agent": "\u00ff" * 500},
)
BROKEN = (
    *(b"", b"{", b"[]", b'"x"', b"5", b"null", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b'{"a":"\xff"}'),
    *(b"NaN", b'{"a":1}x', b"\x00", b"{}" * 200_000, deep(5000).encode(), b'{"a":' * 5000),
)
NUMBERS = ("0", "1", "42", "9" * 20, "9" * 5000, "\u0663", "0x1", "-1", "1.5", "")


def make_headers(rng: Random, scene: Scene) -> dict[str, str]:
    signed_in = {**AS_JSON, "Authorization": f"Bearer {scene.token}"}
    return signed_in | (rng.choice(HEADERS) if rng.random() < 0.15 else {})


def make_body(rng: Random, asking: Asking, scene: Scene) -> bytes:
    if rng.random() < 0.1:
        return rng.choice(BROKEN)
    return make_payload(rng, asking, scene).encode()


def make_query(rng: Random, route: Route) -> dict[str, str]:
    """What it takes, as text, and now and then what nobody asked for."""
    names = [*route.request.model_json_schema().get("properties", {}), "expires", "signature", "x"]
    few = rng.sample(names, rng.randint(0, len(names)))
    # A longer address than 8 kB is refused before it is any of ours.
    return {name: pick_awkward(rng)[:100].strip('"') for name in few}


def find_answer_flaw(status: int, kind: str, text: str, *, is_event: bool) -> str | None:
    """What is wrong with an answer: its status, its shape, or that they differ."""
    if status >= 500:
        return "a fault of the server"
    if status < 400:
        return "no data" if is_event and set(json.loads(text)) != {"data"} else None
    if kind != "application/json":
        return "an error that is no JSON"
    body: dict[str, Any] = json.loads(text)
    if set(body) != {"error"}:
        return "an error of another shape"
    if flaw := find_flaw(body["error"]):
        return flaw
    ours = Error.known[body["error"]["code"]].status
    is_library = (body["error"]["code"], status) in (("invalid", 400), ("not_found", 405))
    return None if status == ours or is_library else "not the status of its code"


class Asker:
    """Sends requests and counts how they are answered. Raises: AssertionError."""

    def __init__(self, server: Instance, http: ClientSession, seed: int) -> None:
        self.statuses: Counter[int] = Counter()
        self._server, self._http, self._seed = server, http, seed

    async def ask(
        self, number: int, method: str, path: str, *, is_event: bool = False, **options: Any
    ) -> None:
        async with self._http.request(
            method, self._server.url + path, allow_redirects=False, **options
        ) as response:
            text = await response.text(errors="replace")
            flaw = find_answer_flaw(response.status, response.content_type, text, is_event=is_event)
        self.statuses[response.status] += 1
        assert flaw is None, (
            f"seed {self._seed} case {number}: {flaw}: {response.status} {text[:300]}\n"
            f"{method} {path[:300]} {options!a:.2000}"
        )


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_payload_for_any_event_over_http(
    fuzzed: Instance, scenes: list[Scene], seed: int
) -> None:
    async with unharmed(fuzzed) as chatting, ClientSession() as http:
        asker = Asker(fuzzed, http, seed)
        for number in [int(ONLY)] if ONLY else range(EVENTS):
            rng = Random(f"{seed} http {number}")
            scene = rng.choice(scenes)
            asking = rng.choice(scene.askings)
            name = asking.name if rng.random() < 0.95 else rng.choice(("x", "a:b", "%00", "..%2f"))
            await asker.ask(
                number,
                "POST",
                f"/events{asking.namespace}/{name}",
                is_event=True,
                headers=make_headers(rng, scene),
                data=make_body(rng, asking, scene),
            )
            chatting.give_turn()
    assert ONLY or {200, 401, 403, 404, 413, 415, 422} <= set(asker.statuses), asker.statuses


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_request_for_any_route(fuzzed: Instance, seed: int) -> None:
    # Whoever leaves cannot sign in again: without the password nobody does.
    person = await fuzzed.add_person(with_password=True)
    async with unharmed(fuzzed) as chatting, ClientSession() as http:
        asker = Asker(fuzzed, http, seed)
        for number in [int(ONLY)] if ONLY else range(ROUTES):
            rng = Random(f"{seed} route {number}")
            route = rng.choice(ROUTE_LIST)
            # Signing out is among them.
            token = (await fuzzed.sign_in(person.email)).token
            scene = Scene((), {"upload_id": [1]}, token)
            asking = Asking("", route.name, route.request.model_json_schema())
            await asker.ask(
                number,
                rng.choice((route.method, route.method, route.method, "PUT", "DELETE")),
                route.path.replace("{upload_id:\\d+}", rng.choice(NUMBERS)),
                params=make_query(rng, route) if route.in_query or rng.random() < 0.1 else None,
                headers=make_headers(rng, scene),
                data=None if route.in_query else make_body(rng, asking, scene),
            )
            chatting.give_turn()
    assert ONLY or {201, 401, 404, 422} <= set(asker.statuses), asker.statuses


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_query_for_any_stream(fuzzed: Instance, scenes: list[Scene], seed: int) -> None:
    async with unharmed(fuzzed) as chatting, ClientSession() as http:
        asker = Asker(fuzzed, http, seed)
        for number in [int(ONLY)] if ONLY else range(100):
            rng = Random(f"{seed} stream {number}")
            scene = rng.choice(scenes)
            values = (*NUMBERS, "2**53", "true", str(2**53), str(2**63), "\U0001f600", "x" * 100)
            names = rng.sample(("after", "epoch", "wait", "token"), rng.randint(0, 3))
            query = {name: rng.choice(values) for name in names} | {"wait": "0"}
            place = rng.choice((*scene.namespaces, "/nowhere", "/%00"))
            await asker.ask(
                number, "GET", f"/events{place}", params=query, headers=make_headers(rng, scene)
            )
            chatting.give_turn()
    assert ONLY or {200, 404, 422} <= set(asker.statuses), asker.statuses

"""The documents are valid, and say what is declared: all of it and nothing else."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import openapi_spec_validator
import pytest
from aiohttp import web
from pydantic import Field as Bounds
from pydantic import TypeAdapter

from handlers import NAMESPACES
from server.bodies import Redirect
from server.calls import validate
from server.catalog import attach_documents, render, write_documents
from server.catalog.asyncapi import build_asyncapi
from server.catalog.files import BUILDERS, CHECKED_IN_URL
from server.catalog.kernel import kernel
from server.catalog.openapi import build_openapi, event_path, strip_patterns
from server.catalog.page import anchor, render_page
from server.catalog.schemas import collect_schemas
from server.catalog.upkeep import UPKEEP
from server.catalog.wording import (
    Told,
    example_error,
    is_in_query,
    is_spoken,
    list_told,
    slug,
    takes_file,
)
from server.context import Context
from server.contract import EVERYONE, PUBLIC, Asked, Call, Namespace
from server.errors import Error
from server.limits import Rate
from server.outgoing import Push
from server.payload import Change, Id, Nothing, Page, PageRequest, Payload
from tests.nodejs import FOLDER, find_node

# Documents know no database: once is enough.
pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parents[2]
OPERATED = ("get", "put", "post", "delete", "patch")

ALL = (kernel, *NAMESPACES)
SPOKEN = [*filter(is_spoken, NAMESPACES)]
SCHEMAS = collect_schemas(NAMESPACES)
ASYNCAPI = build_asyncapi(NAMESPACES, CHECKED_IN_URL)
OPENAPI = build_openapi(NAMESPACES, CHECKED_IN_URL)
PAGE = render_page(NAMESPACES, CHECKED_IN_URL)


CALLS = [
    pytest.param(call, id=f"{namespace.name} {call.name}")
    for namespace in ALL
    for call in (*namespace.events.values(), *namespace.routes.values())
]
TOLD = [
    pytest.param(told, id=f"{namespace.name} {told.name}")
    for namespace in ALL
    for told in list_told(namespace)
]


def parse_asyncapi(document: Path) -> None:
    node = find_node("@asyncapi/parser")
    command = [node, str(FOLDER / "validate_asyncapi.mjs"), str(document)]
    parsed = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert parsed.returncode == 0, parsed.stdout + parsed.stderr


def list_http_operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (method, path)
        for path, item in document["paths"].items()
        for method in item
        if method in OPERATED
    }


# -- What is declared --


def test_openapi_is_valid() -> None:
    openapi_spec_validator.validate(OPENAPI)


def test_asyncapi_is_valid(tmp_path: Path) -> None:
    document = tmp_path / "asyncapi.json"
    document.write_text(render(ASYNCAPI), "utf-8")
    parse_asyncapi(document)


@pytest.mark.parametrize("name", [*BUILDERS])
def test_checked_in_documents_are_current(name: str) -> None:
    stale = f"docs/{name} is not what is declared: run `python run.py docs`"
    checked_in = ROOT / "docs" / name
    assert checked_in.is_file(), stale
    fresh = render(BUILDERS[name](NAMESPACES, CHECKED_IN_URL))
    assert checked_in.read_text("utf-8") == fresh, stale


def test_asyncapi_has_every_event_and_nothing_else() -> None:
    declared = {f"{slug(ns.name)}.ask.{name}" for ns in SPOKEN for name in ns.events}
    declared |= {f"{slug(ns.name)}.tell.{t.name}" for ns in SPOKEN for t in list_told(ns)}
    for namespace in SPOKEN:
        for key in ("ask.connect", "tell.connect_error", "ask.token:refresh"):
            declared.add(f"{slug(namespace.name)}.{key}")
        for key in ("tell.stream:ready", "tell.token:expired"):
            declared.add(f"{slug(namespace.name)}.{key}")
    assert set(ASYNCAPI["operations"]) == declared
    assert {c["address"] for c in ASYNCAPI["channels"].values()} == {ns.name for ns in SPOKEN}


def test_openapi_has_every_route_and_event_and_nothing_else() -> None:
    declared = {("get", path) for path in UPKEEP}
    for namespace in NAMESPACES:
        for route in namespace.routes.values():
            declared.add((route.method.lower(), strip_patterns(route.path)))
    for namespace in SPOKEN:
        declared.add(("get", f"/events/{slug(namespace.name)}"))
        declared |= {("post", event_path(event)) for event in namespace.events.values()}
    assert list_http_operations(OPENAPI) == declared


def test_page_has_everything() -> None:
    for namespace in ALL:
        for kind, names in (
            ("ask", namespace.events),
            ("http", namespace.routes),
            ("told", [told.name for told in list_told(namespace)]),
        ):
            for name in names:
                target = anchor(namespace, kind, name)
                assert PAGE.count(f"<article id='{target}'>") == 1
                assert f"href='#{target}'" in PAGE


def test_page_links_lead_somewhere() -> None:
    targets = {part.partition("'")[0] for part in PAGE.split("href='#")[1:]}
    assert not [target for target in targets if f" id='{target}'" not in PAGE]


def test_undeclared_names_are_nowhere() -> None:
    for text in (render(ASYNCAPI), render(OPENAPI), PAGE):
        assert "horoscope:read" not in text
        assert "/auth/horoscope" not in text


@pytest.mark.parametrize("call", CALLS)
def test_example_of_request_is_accepted(call: Call) -> None:
    example = SCHEMAS.example(SCHEMAS.asked(call.request))
    as_strings = is_in_query(call) or takes_file(call)
    if as_strings:
        example = {name: str(value) for name, value in example.items()}
    validate(call.request, example, from_strings=as_strings)


@pytest.mark.parametrize("call", CALLS)
def test_example_of_answer_is_one(call: Call) -> None:
    example = SCHEMAS.example(SCHEMAS.told(call.response))
    TypeAdapter(call.response).validate_json(json.dumps(example))


@pytest.mark.parametrize("told", TOLD)
def test_example_of_told_is_one(told: Told) -> None:
    example = SCHEMAS.example(SCHEMAS.told(told.data))
    told.data.model_validate_json(json.dumps(example))


@pytest.mark.parametrize("code", [*Error.known])
def test_example_of_error_is_one(code: str) -> None:
    error = example_error(code)["error"]
    assert error["code"] == code
    assert error["retryable"] == Error.known[code].retryable
    assert OPENAPI["components"]["examples"][code]["value"]["error"] == error


def test_roles_rate_and_errors_are_told() -> None:
    for namespace in NAMESPACES:
        for event in namespace.events.values():
            over_http = OPENAPI["paths"][event_path(event)]["post"]
            on_socket = ASYNCAPI["operations"][f"{slug(namespace.name)}.ask.{event.name}"]
            assert_marked(over_http, event)
            assert_marked(on_socket, event)
            assert on_socket.get("x-batch", 0) == event.batch
        for route in namespace.routes.values():
            item = OPENAPI["paths"][strip_patterns(route.path)]
            assert_marked(item[route.method.lower()], route)


def assert_marked(operation: dict[str, Any], call: Call) -> None:
    assert operation["description"].startswith(call.about)
    assert set(operation["x-roles"]) == call.roles
    assert operation["x-rate"] == {"count": call.rate.count, "per": call.rate.per}
    assert operation["x-reads"] == call.reads
    assert set(operation["x-errors"]) >= set(call.errors)


def test_pushes_are_numbered_and_signals_are_not() -> None:
    for namespace in SPOKEN:
        messages = ASYNCAPI["channels"][slug(namespace.name)]["messages"]
        for told in list_told(namespace):
            message = messages[f"tell.{told.name}"]
            _, meta = message["examples"][0]["payload"]
            assert ("seq" in meta) == isinstance(told, Push)
            assert message["x-delivery"] == ("logged" if "seq" in meta else "may-be-lost")


# -- What may be declared, though perhaps nothing is yet --


class Words(Payload):
    kind: Literal["words"] = "words"
    words: str
    before: "Words | None" = None


class Picture(Payload):
    kind: Literal["picture"] = "picture"
    size: tuple[int, int]


class Card(Payload):
    """A card, of one kind or the other."""

    content: Annotated[Words | Picture, Bounds(discriminator="kind")]


class AddCard(Change):
    words: Annotated[str, Bounds(min_length=3, max_length=10)]


class EndCard(Change):
    card_id: Id


class GoogleLogin(Payload):
    state: str


def declare_samples() -> Sequence[Namespace]:
    rate = Rate(5, per=60)
    cards = Namespace("/cards", "Cards & <script>alert('about')</script>.")
    http_only = Namespace("/files", "Only over HTTP.")
    cards.push("card:added", Card, "A <b>card</b> was `added`.")
    cards.signal("dealing", Nothing, "Somebody deals.")

    @cards.on("card:add", roles=EVERYONE, rate=rate, batch=8)
    async def add_cards(ctx: Context, asked: Sequence[Asked[AddCard]]) -> list[Card | Error]:
        """Add cards <img src=x onerror=alert(1)>.

        Raises: gone.
        """
        return []

    @cards.on("card:list", roles=EVERYONE, rate=rate, reads=True)
    async def list_cards(ctx: Context, request: PageRequest) -> Page[Card]:
        """List the cards."""
        return Page[Card].of(request, [], 0)

    @http_only.route("POST", r"/cards/{card_id:\d+}/end", roles=EVERYONE, rate=rate, status=204)
    async def end_card(ctx: Context, request: EndCard) -> None:
        """End a card."""

    @http_only.route("GET", "/cards/login", roles=PUBLIC, rate=rate)
    async def login(ctx: Context, request: GoogleLogin) -> Redirect:
        """Go to where one signs in."""
        return Redirect("https://example.com")

    return cards, http_only


def test_samples_are_valid(tmp_path: Path) -> None:
    asyncapi, openapi = write_documents(declare_samples(), tmp_path)
    openapi_spec_validator.validate(json.loads(openapi.read_text("utf-8")))
    parse_asyncapi(asyncapi)


def test_generic_and_tagged_shapes() -> None:
    shapes = build_asyncapi(declare_samples(), CHECKED_IN_URL)["components"]["schemas"]
    assert {"PageCard", "Words", "Picture"} <= set(shapes)
    assert shapes["Card"]["properties"]["content"].keys() == {"oneOf"}
    assert shapes["Words"]["required"] == ["kind", "words", "before"]


def test_path_variables_are_not_in_the_body() -> None:
    paths = build_openapi(declare_samples(), CHECKED_IN_URL)["paths"]
    operation = paths["/cards/{card_id}/end"]["post"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["card_id"]
    body = operation["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["properties"]) == set(body["example"]) == {"client_ref"}
    assert operation["responses"]["204"] == {"description": "Done."}


def test_redirects_and_public_routes() -> None:
    operation = build_openapi(declare_samples(), CHECKED_IN_URL)["paths"]["/cards/login"]["get"]
    assert "Location" in operation["responses"]["302"]["headers"]
    assert operation["security"] == []
    assert "401" not in operation["responses"]
    assert operation["parameters"][0]["required"]


def test_namespace_without_events_is_no_channel() -> None:
    assert set(build_asyncapi(declare_samples(), CHECKED_IN_URL)["channels"]) == {"cards"}


def test_https_is_wss_under_its_path() -> None:
    server = build_asyncapi(declare_samples(), "https://example.com/api")["servers"]["main"]
    assert (server["protocol"], server["host"]) == ("wss", "example.com")
    assert server["pathname"] == "/api/socket.io/"


def test_page_takes_nothing_literally() -> None:
    page = render_page(declare_samples(), "http://x/?a=<b>")
    assert "<img" not in page
    assert "<script>alert" not in page
    assert "<b>card" not in page
    assert "?a=&lt;b&gt;" in page
    assert "was <code>added</code>" in page


async def test_documents_are_served(aiohttp_client: Any) -> None:
    app = web.Application()
    attach_documents(app, declare_samples(), CHECKED_IN_URL)
    client = await aiohttp_client(app)

    page = await client.get("/")
    assert page.url.path == "/docs"
    assert "card:add" in await page.text()
    assert "unsafe" not in page.headers["Content-Security-Policy"]

    for name, build in BUILDERS.items():
        answer = await client.get(f"/docs/{name}")
        assert await answer.json() == build(declare_samples(), CHECKED_IN_URL)
        known = {"If-None-Match": answer.headers["ETag"]}
        assert (await client.get(f"/docs/{name}", headers=known)).status == 304

"""What is no access token of ours opens nothing, wherever it is shown."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from handlers.accounts import people
from server.context import Context
from tests.conftest import StartInstance
from tests.instance import Instance, Person
from tests.security.forging import (
    change,
    leave_out,
    read_claims,
    sign,
    signing_key,
    write_raw,
)
from tests.server.raw import RawSocket

# The door knows no database: once is enough.
pytestmark = pytest.mark.embedded

FOREIGN_KEY = "a key of somebody else, which has 64 bytes or more for whatever hash"


@pytest.fixture
async def server(start: StartInstance) -> Instance:
    return await start(jobs=False)


@pytest.fixture
async def person(server: Instance) -> Person:
    return await server.add_person()


async def refuse_everywhere(
    server: Instance, person: Person, tokens: dict[str, str]
) -> dict[str, list[str]]:
    """Which of these were answered otherwise than `unauthenticated`, and with what."""
    odd = {}
    async with RawSocket.open(server.url) as signed_in:
        await signed_in.join("/account", person.token)
        for name, token in tokens.items():
            codes = [
                *await ask_over_http(server, token),
                await join(server, token),
                await renew(signed_in, token),
            ]
            if set(codes) != {"unauthenticated"}:
                odd[name] = codes
        assert "data" in await signed_in.ask("/account", 0, "profile:get", "{}")
    return odd


async def ask_over_http(server: Instance, token: str) -> list[str]:
    answers = [
        await server.request("POST", "/events/account/profile:get", {}, token=token),
        await server.request("GET", "/events/account", token=token),
        await server.request("GET", "/uploads/1", token=token),
    ]
    return [answer["error"]["code"] if "error" in answer else "ok" for _, answer in answers]


async def join(server: Instance, token: str) -> str:
    async with RawSocket.open(server.url) as socket:
        await socket.send(f'40/account,{{"token":"{token}"}}')
        packet = await socket.receive()
        while packet[0] not in "04":
            packet = await socket.receive()
        return "ok" if packet[0] == "0" else packet.split('"message":"')[1].split('"')[0]


async def renew(signed_in: RawSocket, token: str) -> str:
    answer = await signed_in.ask("/account", 1, "token:refresh", f'{{"token":"{token}"}}')
    return str(answer["error"]["code"]) if "error" in answer else "ok"


async def test_the_person_s_own_token_is_taken_everywhere(server: Instance, person: Person) -> None:
    """The same checks as below, so that what they refuse is refused for a reason."""
    again = change(server, person, role="admin")
    assert await ask_over_http(server, again) == ["ok", "ok", "not_found"]
    assert await join(server, again) == "ok"
    async with RawSocket.open(server.url) as socket:
        await socket.join("/account", person.token)
        assert await renew(socket, again) == "ok"


async def test_the_role_in_a_token_gives_no_rights(server: Instance, person: Person) -> None:
    token = change(server, person, role="admin")
    status, answer = await server.request("POST", "/events/admin/job:list", {}, token=token)
    assert (status, answer["error"]["code"]) == (403, "forbidden")


async def test_only_the_algorithm_that_is_set_is_taken(server: Instance, person: Person) -> None:
    claims, key = read_claims(person), signing_key(server)
    headers: dict[str, Any] = {
        "none": {"alg": "none"},
        "None": {"alg": "None"},
        "lower case": {"alg": "hs256"},
        "with a space": {"alg": "HS256 "},
        "a list": {"alg": ["HS256"]},
        "a list of several": {"alg": ["none", "HS256"]},
        "an object": {"alg": {"alg": "HS256"}},
        "null": {"alg": None},
        "a number": {"alg": 256},
        "missing": {"typ": "JWT"},
        "RS256": {"alg": "RS256"},
        "a header that is a list": ["HS256"],
        "a header that is a text": "HS256",
        "critical and unknown": {"alg": "HS256", "crit": ["exp"]},
        "detached": {"alg": "HS256", "b64": False, "crit": ["b64"]},
    }
    tokens = {name: sign(claims, key, header=header) for name, header in headers.items()}
    tokens |= {
        f"{name} with our key": sign(claims, key, header={"alg": name}, hashed_by=name)
        for name in ("HS384", "HS512")
    }
    tokens["HS512 that says HS256"] = sign(claims, key, hashed_by="HS512")
    tokens["not signed"] = tokens["none"].rpartition(".")[0] + "."
    assert await refuse_everywhere(server, person, tokens) == {}


async def test_a_public_key_signs_nothing(server: Instance, person: Person) -> None:
    """Neither a key that comes with the token nor one that stands where a secret should."""
    private: RSAPrivateKey = generate_private_key(public_exponent=65537, key_size=2048)
    claims, public = read_claims(person), RSAAlgorithm.to_jwk(private.public_key())
    jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    tokens = {
        "RS256": jwt.encode(claims, private, "RS256"),
        "with its key": jwt.encode(claims, private, "RS256", headers={"jwk": jwk}),
        "with an address": jwt.encode(
            claims, private, "RS256", headers={"jku": f"{server.url}/keys", "kid": "1"}
        ),
        "PS256": jwt.encode(claims, private, "PS256"),
        "the public key as the secret": sign(claims, public),
    }
    assert await refuse_everywhere(server, person, tokens) == {}


async def test_every_claim_is_needed_and_is_what_it_should_be(
    server: Instance, person: Person
) -> None:
    other = await server.add_person()
    wrong: dict[str, list[Any]] = {
        "iss": [None, "", "Emotrack", "emotrack ", ["emotrack"], {"emotrack": 1}, 1, "https://emotrack"],
        "sub": [None, "", person.id, [str(person.id)], True, 1.5, f" {person.id}", f"+{person.id}",
                f"{person.id}.0", f"0_{person.id}", "\u0661", "-1", "0", "9" * 30, str(other.id)],
        "sid": [None, "", str(person.session_id), True, person.session_id + 0.5,
                [person.session_id], -1, 0, 10**30, other.session_id],
        "exp": [None, "", "never", "9999999999", [], {}, 10**12, 10**30],
        "iat": [None],
        "jti": [None],
        "nbf": [10**10, "now", None, [], {}],
        "aud": ["emotrack", ["google"]],
    }  # fmt: skip
    tokens = {
        f"{claim} {value!r}": change(server, person, **{claim: value})
        for claim, values in wrong.items()
        for value in values
    }
    tokens |= {
        f"without {claim}": leave_out(server, person, claim)
        for claim in ("iss", "sub", "sid", "exp", "iat", "jti")
    }
    tokens |= {
        f"{claim} {text}": write_raw(server, person, claim, text)
        for claim in ("exp", "sid")
        for text in ("1e999", "-1e999", "NaN")
    }
    tokens |= {
        f"claims {raw[:20]}": sign(None, signing_key(server), raw=raw)
        for raw in ("[]", "null", "1", '"text"', "", "{", "[" * 500)
    }
    assert await refuse_everywhere(server, person, tokens) == {}


async def test_another_key_signs_for_nobody(server: Instance, person: Person) -> None:
    other = await server.add_person()
    claims = read_claims(person)
    tokens = {
        "one's own": sign(claims, FOREIGN_KEY),
        "another person": sign({**claims, "sub": str(other.id)}, FOREIGN_KEY),
        "another person's sign-in": sign(read_claims(other), FOREIGN_KEY),
        "no key": sign(claims, ""),
        "another person under our key": change(server, person, sub=str(other.id)),
    }
    assert await refuse_everywhere(server, person, tokens) == {}


async def test_other_secrets_of_ours_are_no_access_tokens(server: Instance, person: Person) -> None:
    tokens, now = server.runtime.tokens, server.runtime.clock()
    parts = [str(person.id), str(person.session_id)]
    async with Context.open(server.runtime) as ctx:
        key_id, secret = await people.create_api_key(ctx, person.email)
    link = server.runtime.links.sign("/uploads/1", now)
    sealed = [
        tokens.seal(purpose, parts, timedelta(hours=1), now)
        for purpose in ("google", "unsubscribe", "")
    ]
    shown = {
        "a refresh token": person.refresh_token,
        "the state of signing in elsewhere": sealed[0],
        "a way out of letters": sealed[1],
        "something sealed for nothing": sealed[2],
        "an API key": key_id,
        "its secret": secret,
        "a signature": link.rpartition("=")[2],
        "a whole signed link": link,
        "a signed query": link.partition("?")[2],
        "a derived token": tokens.derive("access", person.refresh_token),
    }
    assert await refuse_everywhere(server, person, shown) == {}


async def test_an_access_token_is_none_of_our_other_secrets(
    server: Instance, person: Person
) -> None:
    before = await server.ask(person, "/account", "session:list", {})
    asked: list[tuple[str, str, Any, str]] = [
        ("POST", "/auth/refresh", {"refresh_token": person.token}, "unauthenticated"),
        (
            "POST",
            "/auth/token",
            {"client_id": "key", "client_secret": person.token},
            "bad_credentials",
        ),
        ("GET", f"/unsubscribe?token={person.token}", None, "not_found"),
        ("POST", f"/unsubscribe?token={person.token}", None, "not_found"),
        ("GET", f"/uploads/1?expires=9999999999&signature={person.token}", None, "unauthenticated"),
    ]
    for method, path, body, code in asked:
        _, answer = await server.request(method, path, body)
        assert answer["error"]["code"] == code, path
    assert await server.ask(person, "/account", "session:list", {}) == before

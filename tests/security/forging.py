"""Access tokens made by hand, with a right signature and anything else wrong."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt

from tests.instance import Instance, Person

HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def read_claims(person: Person) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(person.token, options={"verify_signature": False})
    return claims


def signing_key(server: Instance) -> str:
    return server.runtime.settings.signing_keys[0]


def sign(
    claims: Any, key: str, *, header: Any = None, hashed_by: str = "HS256", raw: str | None = None
) -> str:
    """A token with this header and these claims (or this raw JSON), HMACed with this key."""
    header = {"alg": "HS256", "typ": "JWT"} if header is None else header
    body = json.dumps(claims) if raw is None else raw
    signed = f"{_encode(json.dumps(header).encode())}.{_encode(body.encode())}"
    mac = hmac.new(key.encode(), signed.encode(), HASHES[hashed_by])
    return f"{signed}.{_encode(mac.digest())}"


def change(server: Instance, person: Person, **claims: Any) -> str:
    """The person's token with other claims, properly signed."""
    return sign({**read_claims(person), **claims}, signing_key(server))


def leave_out(server: Instance, person: Person, claim: str) -> str:
    claims = read_claims(person)
    del claims[claim]
    return sign(claims, signing_key(server))


def write_raw(server: Instance, person: Person, claim: str, json_text: str) -> str:
    """The person's token with one claim in JSON that Python would not write."""
    claims = {**read_claims(person), claim: "here"}
    raw = json.dumps(claims).replace('"here"', json_text)
    return sign(None, signing_key(server), raw=raw)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

"""The paths for those who run the server, and for those who read about it."""

from typing import Any

_STATE = {"type": "string", "enum": ["ok", "degraded", "unavailable"]}
_READINESS = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["ready", "unavailable"]},
        "database": _STATE,
        "bus": _STATE,
    },
    "required": ["status", "database", "bus"],
}
_ALIVE = {
    "type": "object",
    "properties": {"status": {"const": "alive"}},
    "required": ["status"],
}


def _describe(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    operation = {
        "operationId": name,
        "tags": ["upkeep"],
        "summary": summary,
        "security": [],
        "responses": responses,
    }
    return {"get": operation}


def _answer(about: str, media_type: str, schema: Any, **example: Any) -> dict[str, Any]:
    content = {media_type: {"schema": schema, **example}}
    return {"description": about, "content": content}


_READY = {"status": "ready", "database": "ok", "bus": "ok"}
_UNREADY = {"status": "unavailable", "database": "unavailable", "bus": "ok"}
_TEXT = {"type": "string"}
_OBJECT = {"type": "object"}

UPKEEP: dict[str, dict[str, Any]] = {
    "/health/live": _describe(
        "get_health_live",
        "Whether the process answers",
        {"200": _answer("It does.", "application/json", _ALIVE, example={"status": "alive"})},
    ),
    "/health/ready": _describe(
        "get_health_ready",
        "Whether the server can take clients; a bus that is away only degrades it",
        {
            "200": _answer("It can.", "application/json", _READINESS, example=_READY),
            "503": _answer("It cannot.", "application/json", _READINESS, example=_UNREADY),
        },
    ),
    "/metrics": _describe(
        "get_metrics",
        "Counters and timings for Prometheus",
        {"200": _answer("The metrics.", "text/plain", _TEXT)},
    ),
    "/docs": _describe(
        "get_docs",
        "This contract, to read and to try",
        {"200": _answer("The page.", "text/html", _TEXT)},
    ),
    "/docs/asyncapi.json": _describe(
        "get_docs_asyncapi",
        "The events as an AsyncAPI document",
        {"200": _answer("The document.", "application/json", _OBJECT)},
    ),
    "/docs/openapi.json": _describe(
        "get_docs_openapi",
        "The routes as an OpenAPI document",
        {"200": _answer("The document.", "application/json", _OBJECT)},
    ),
}
"""Path items of the OpenAPI document."""

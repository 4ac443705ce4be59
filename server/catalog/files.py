"""The documents as files, checked in so that a change of the contract shows in a review."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.catalog.asyncapi import build_asyncapi
from server.catalog.openapi import build_openapi
from server.contract import Namespace

CHECKED_IN_URL = "http://127.0.0.1:8000"
"""Where the server is according to the files, whatever the settings of who writes them."""

BUILDERS = {"asyncapi.json": build_asyncapi, "openapi.json": build_openapi}


def render(document: dict[str, Any]) -> str:
    """The same text for the same contract: named shapes sorted, all else as declared."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_documents(namespaces: Sequence[Namespace], folder: Path) -> list[Path]:
    """Write all documents into a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, build in BUILDERS.items():
        path = folder / name
        path.write_text(render(build(namespaces, CHECKED_IN_URL)), "utf-8")
        written.append(path)
    return written

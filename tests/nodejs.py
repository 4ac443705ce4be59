"""Node, and the official packages that `npm ci` in tests/node has brought."""

import os
import shutil
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "node"


def find_node(package: str) -> str:
    """Node, with this package; without them the test is skipped, where that is allowed."""
    node = shutil.which("node")
    if node and (FOLDER / "node_modules" / package).is_dir():
        return node
    missing = "needs node, and `npm ci` in tests/node"
    if os.environ.get("EMOTRACK_REQUIRE_SERVICES") == "1":
        pytest.fail(missing)
    pytest.skip(missing)

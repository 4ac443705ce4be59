"""The house rules that no tool checks: nouns, sizes, names, and who may commit."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# No database is in play: once is enough.
pytestmark = pytest.mark.embedded

ROOT = Path(__file__).parents[1]
LAYERS = ("server", "handlers", "storage", "jobs")
MAX_LINES = 400
MACHINERY = {"broker", "letters", "perform", "providers", "scheduler", "upkeep", "wakes", "worker"}
"""What jobs have besides the nouns: how work is handed over, done, and who does it outside."""

TABLELESS = {"admin"}
"""Nouns that have no table: they show what others keep."""

DEMO = "demo"
"""Uses the nouns; is none."""

VAGUE = {"base", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
UNIT_OF_WORK, MIGRATIONS = "server/work.py", "storage/upgrade.py"
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")


def list_sources(*places: str) -> Iterator[Path]:
    for place in places:
        path = ROOT / place
        yield from [path] if path.suffix else path.rglob("*.py")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def list_modules(layer: str) -> set[str]:
    """The modules and packages directly in a layer."""
    entries = [*(ROOT / layer).glob("*.py"), *(ROOT / layer).glob("*/__init__.py")]
    found = {e.parent.name if e.name == "__init__.py" else e.stem for e in entries}
    return found - {layer}


def list_calls(path: Path) -> Iterator[tuple[str, int]]:
    """The names of the functions and methods that a file calls."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute):
                yield f".{function.attr}", node.lineno
            elif isinstance(function, ast.Name):
                yield function.id, node.lineno


NOUNS = list_modules("handlers") - {DEMO}


@pytest.mark.parametrize("noun", sorted(NOUNS))
def test_a_noun_is_the_same_in_every_layer(noun: str) -> None:
    assert noun in list_modules("storage") | TABLELESS, f"handlers/{noun} has no storage/{noun}"
    assert [*(ROOT / "tests").glob(f"test_{noun}*.py")], f"handlers/{noun} has no tests"


def test_jobs_belong_to_nouns() -> None:
    assert list_modules("jobs") - MACHINERY <= NOUNS


def test_no_file_is_long() -> None:
    sources = list_sources(*LAYERS, "tests", "benchmarks", "migrations/env.py", "run.py")
    lengths = {name(path): len(path.read_text("utf-8").splitlines()) for path in sources}
    assert not {path: lines for path, lines in lengths.items() if lines > MAX_LINES}


def test_only_the_unit_of_work_commits() -> None:
    committing = {
        name(path)
        for path in list_sources(*LAYERS, "run.py")
        for call, _ in list_calls(path)
        if call == ".commit"
    }
    assert committing - {MIGRATIONS} == {UNIT_OF_WORK}


def test_no_module_has_a_vague_name() -> None:
    sources = list_sources(*LAYERS, "migrations", "tests", "benchmarks", "run.py")
    assert not [name(p) for p in sources if {p.stem, p.parent.name} & VAGUE]


def test_nothing_is_left_unfinished() -> None:
    sources = list_sources(*LAYERS, "migrations", "tests", "benchmarks", "run.py")
    assert not [name(path) for path in sources if UNFINISHED.search(path.read_text("utf-8"))]


def test_only_the_command_line_prints() -> None:
    printing = [
        f"{name(path)}:{line}"
        for path in list_sources(*LAYERS, "migrations")
        for call, line in list_calls(path)
        if call == "print"
    ]
    assert not printing

"""Words that stand in people's things, so that one sees where these end up."""

import re
from typing import Any

_WORD = re.compile(r"planted-[a-z]+-[a-z]+")


def plant(what: str, whose: str) -> str:
    return f"planted-{what}-{whose}"


def find_planted(said: Any) -> set[str]:
    """The planted words in whatever was said."""
    return set(_WORD.findall(str(said)))

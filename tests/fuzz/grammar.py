"""Whether text is JSON, of any depth, any length and with any number in it.

The words NaN, Infinity and -Infinity count as values: the server answers who sends them.
"""

import json
import re
from contextlib import suppress

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+"')
_SCALAR = re.compile(
    r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null|NaN|-?Infinity"
)


def is_json(text: str) -> bool:
    """Python's own reader says, or where that is out of its depth, one that keeps a stack."""
    with suppress(RecursionError):
        return _is_json_to_python(text)
    reader = _Reader(text)
    try:
        reader.read()
    except _Wrong:
        return False
    return True


def measure_depth(text: str) -> int:
    """How many brackets are open at once, as far as the text makes sense."""
    reader = _Reader(text)
    with suppress(_Wrong):
        reader.read()
    return reader.deepest


def read_name(text: str) -> str | None:
    """The first item of a JSON array, if it is a string."""
    opened = re.match(r"[ \t\n\r]*\[[ \t\n\r]*", text)
    found = _STRING.match(text, opened.end()) if opened else None
    return None if found is None else str(json.loads(found.group()))


def _is_json_to_python(text: str) -> bool:
    try:
        json.loads(text, parse_int=len, parse_float=len)
    except json.JSONDecodeError:
        return False
    return True


class _Wrong(Exception):
    """No JSON."""


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[str] = []
        self.deepest = 0

    def read(self) -> None:
        self._value()
        while self._open:
            self._next()
        self._space()
        if self._at != len(self._text):
            raise _Wrong

    def _next(self) -> None:
        """After a value inside something: a comma and one more, or the end of it."""
        closing = {"[": "]", "{": "}"}[self._open[-1]]
        self._space()
        if self._take(closing):
            self._open.pop()
            return
        if not self._take(","):
            raise _Wrong
        if closing == "}":
            self._key()
        self._value()

    def _value(self) -> None:
        """One scalar, or whatever opens up to the first scalar or empty pair inside it."""
        while True:
            self._space()
            if self._take("["):
                self._enter("[")
                self._space()
                if self._take("]"):
                    self._open.pop()
                    return
            elif self._take("{"):
                self._enter("{")
                self._space()
                if self._take("}"):
                    self._open.pop()
                    return
                self._key()
            else:
                self._match(_STRING if self._peek() == '"' else _SCALAR)
                return

    def _enter(self, bracket: str) -> None:
        self._open.append(bracket)
        self.deepest = max(self.deepest, len(self._open))

    def _key(self) -> None:
        self._space()
        self._match(_STRING)
        self._space()
        if not self._take(":"):
            raise _Wrong

    def _space(self) -> None:
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _match(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _Wrong
        self._at = found.end()

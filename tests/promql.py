"""Enough of PromQL to know what an expression asks for, and whether it is one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

AGGREGATIONS = {"avg", "count", "max", "min", "sum", "topk"}
OVER_RANGES = {"increase", "max_over_time", "min_over_time", "rate"}
FUNCTIONS = OVER_RANGES | {"clamp_min", "histogram_quantile", "label_values", "vector"}
OPERATORS = {"+", "-", "*", "/", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless"}
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<range>\[(?:\d+[smhdw]|\$__rate_interval)\])
    | (?P<duration>\d+[smhdw]\b)
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<sign>=~|!~|==|!=|>=|<=|[-+*/><=(){},])
    )""",
    re.VERBOSE,
)


class Malformed(Exception):
    """This is no expression."""


@dataclass(slots=True)
class Selector:
    metric: str
    labels: set[str] = field(default_factory=set)
    ranged: bool = False
    within: str = ""
    """The function that takes it."""


@dataclass(slots=True)
class Expression:
    selectors: list[Selector] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)
    """Labels that the results are grouped or matched by."""


def parse(text: str) -> Expression:
    """What the expression asks for. Raises: Malformed."""
    parser = _Parser(list(_split(text)))
    parser.read_expression("")
    if parser.next != ("end", ""):
        raise Malformed(f"{parser.next[1]!r} is too much in {text}")
    return parser.found


def _split(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise Malformed(f"{text[place:]!r} cannot be read")
        yield match.lastgroup, match[match.lastgroup]
        place = match.end()


class _Parser:
    """Recursive descent; precedence does not matter to what is asked for."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = [*tokens, ("end", "")]
        self._place = 0
        self.found = Expression()

    @property
    def next(self) -> tuple[str, str]:
        return self._tokens[self._place]

    def read_expression(self, within: str) -> None:
        self._read_operand(within)
        while self.next[1] in OPERATORS:
            self._take()
            if self.next[1] in ("on", "ignoring"):
                self._take()
                self._read_labels()
            self._read_operand(within)

    def _read_operand(self, within: str) -> None:
        kind, text = self._take()
        if text == "(":
            self.read_expression(within)
            self._expect(")")
        elif kind == "name" and text in AGGREGATIONS:
            self._read_groups()
            self._read_arguments(within)
            self._read_groups()
        elif kind == "name" and self.next[1] == "(":
            if text not in FUNCTIONS:
                raise Malformed(f"{text} is no function known here")
            self._read_arguments(text)
        elif kind == "name":
            self._read_selector(text, within)
        elif kind not in ("number", "string"):
            raise Malformed(f"{text!r} stands where a value should")

    def _read_selector(self, metric: str, within: str) -> None:
        selector = Selector(metric, within=within)
        self.found.selectors.append(selector)
        if self.next[1] == "{":
            self._take()
            while self.next[1] != "}":
                selector.labels.add(self._take("name")[1])
                self._expect("=", "!=", "=~", "!~")
                self._take("string")
                if self.next[1] != "}":
                    self._expect(",")
            self._take()
        if self.next[0] == "range":
            self._take()
            selector.ranged = True
        if self.next[1] == "offset":
            self._take()
            self._take("duration")

    def _read_arguments(self, within: str) -> None:
        self._expect("(")
        self.read_expression(within)
        while self.next[1] == ",":
            self._take()
            self.read_expression(within)
        self._expect(")")

    def _read_groups(self) -> None:
        if self.next[1] in ("by", "without"):
            self._take()
            self._read_labels()

    def _read_labels(self) -> None:
        self._expect("(")
        self.found.groups.add(self._take("name")[1])
        while self.next[1] == ",":
            self._take()
            self.found.groups.add(self._take("name")[1])
        self._expect(")")

    def _expect(self, *wanted: str) -> None:
        text = self._take()[1]
        if text not in wanted:
            raise Malformed(f"{text!r} stands where {' or '.join(wanted)} should")

    def _take(self, kind: str | None = None) -> tuple[str, str]:
        token = self.next
        if token[0] == "end" or kind not in (None, token[0]):
            raise Malformed(f"{token[1]!r} stands where a {kind or 'value'} should")
        self._place += 1
        return token

"""What a model answers, read while it is still writing. Values in, values out: no input or output.

The answer is to be `{"stages": [{"title": "…"}, …]}`, alone or in a Markdown fence. Nobody trusts it:

- anything else before the list or in it (text, other keys, other types): it is broken from there
  on; what comes after the list is not looked at;
- Markdown and HTML are taken off a title; line breaks and other control characters become spaces;
- a title that leads somewhere (a URL, a site, an address of mail) is left out: it may be made up;
- a title of more than `MAX_TITLE` characters is cut; one that was said before is left out;
- after so many stages as are wanted, or `MAX_ANSWER` characters, nothing more is read.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal

MAX_TITLE = 200
MAX_STAGE = 4_000
"""Characters of JSON for one stage."""

MAX_OPENING = 100
MAX_ENDING = 100
"""Characters around the list."""

MAX_ANSWER = 40_000
"""Characters, spaces included: some models send nothing else for as long as one listens."""

_OPENING = re.compile(r'(?:```[a-zA-Z]*\s*)?\{\s*"stages"\s*:\s*\[')
_NOTHING = re.compile(r"[\s`]*(?:json)?[\s`]*(?:\{\s*\}|\[\s*\]|null)?[\s`]*")
_STAGE = re.compile(r'\{(?:[^"{}\[\]]|"(?:[^"\\]|\\.)*+")*+\}', re.DOTALL)
"""An object without objects or lists in it. Possessive, so that garbage costs no more than sense."""

_TAG = re.compile(r"<[/!?a-zA-Z][^<>]*>")
_LIST_MARKER = re.compile(r"(?:[-*+•>]|#{1,6}|\d{1,2}[.)]|\[[ xX]?\])\s+")
_EMPHASIS = re.compile(r"\*+|__+|~~+|`+")
_ENDINGS = (
    "com|net|org|info|biz|site|online|website|store|shop|blog|page|app|dev|cloud|space|club|live"
    "|link|click|top|xyz|vip|bet|casino|io|ai|co|me|tv|cc|gg|ly|eu|de|fr|uk|ch|cn|kz|ua|su|ru|рф"
)
"""Of sites that stand in a text without a path: some clients make links of those too."""

_LINK = re.compile(
    r"[a-z][a-z0-9+.-]*://|\b(?:mailto|javascript|data|tel):\S|\bwww\.|\]\s?[(\[]|\S@\S+\.\w"
    r"|[\w-]\.[^\W\d_]{2,63}/"
    rf"|[\w-](?<!\bASP)\.(?:{_ENDINGS})\b",
    re.IGNORECASE,
)
_JOINER = "\N{ZERO WIDTH JOINER}"
"""The one invisible character that means something: it makes one picture of several."""


Place = Literal["opening", "beginning", "after a stage", "after a comma", "end"]
"""Where in the answer the reader is."""


class BadAnswer(Exception):
    """There is nothing in it ("blank"), or not what was asked for ("broken"): ask again."""

    def __init__(self, reason: Literal["blank", "broken"]) -> None:
        super().__init__(reason)
        self.reason = reason


class AnswerReader:
    """Takes an answer piece by piece and gives each title as soon as it is whole.

    `most` is how many are wanted; those in `said` are not wanted again.
    """

    def __init__(self, *, most: int, said: Iterable[str] = ()) -> None:
        self._left = most
        self._said = {fold_title(title) for title in said}
        self._found = False
        self._text = ""
        self._length = 0
        self._limit = MAX_ANSWER
        self._place: Place = "opening"

    @property
    def wants_more(self) -> bool:
        """Whether it is worth to read on: for stages, or after them for what it all cost."""
        return self._length <= self._limit

    @property
    def _is_over(self) -> bool:
        return self._place == "end" or self._left == 0

    def read(self, piece: str) -> Iterator[str]:
        """The titles that this piece completes, in order. Raises: BadAnswer."""
        room = max(0, MAX_ANSWER - self._length)
        self._length += len(piece)
        if self._is_over:
            return
        self._text = (self._text + piece[:room]).lstrip("\ufeff \t\r\n")
        if self._place == "opening":
            self._open()
        while self._left and (stage := self._take_stage()) is not None:
            title = clean_title(_read_title(stage))
            if title is not None and fold_title(title) not in self._said:
                self._said.add(fold_title(title))
                self._left -= 1
                self._found = True
                if not self._left:
                    self._limit = self._length + MAX_ENDING
                yield title
        if self._length > MAX_ANSWER and not self._is_over:
            raise BadAnswer("blank" if self._place == "opening" and not self._text else "broken")

    def finish(self) -> None:
        """The model has stopped. Raises: BadAnswer, unless the list was whole and had something."""
        if not self._left:
            return
        if self._place == "opening" and _NOTHING.fullmatch(self._text):
            raise BadAnswer("blank")
        if self._place != "end":
            raise BadAnswer("broken")
        if not self._found:
            raise BadAnswer("blank")

    def _open(self) -> None:
        opening = _OPENING.match(self._text)
        if opening is not None:
            self._text = self._text[opening.end() :]
            self._place = "beginning"
        elif len(self._text) > MAX_OPENING:
            raise BadAnswer("broken")

    def _take_stage(self) -> str | None:
        """The next object of the list, if it has come as a whole."""
        if self._place == "opening":
            return None
        self._text = self._text.lstrip()
        if self._place == "after a stage" and self._text[:1] == ",":
            self._text = self._text[1:].lstrip()
            self._place = "after a comma"
        match self._place, self._text[:1]:
            case _, "":
                return None
            case "beginning" | "after a stage", "]":
                self._place = "end"
                return None
            case "beginning" | "after a comma", "{":
                stage = _STAGE.match(self._text) if "}" in self._text else None
                if stage is None and len(self._text) <= MAX_STAGE:
                    return None
                if stage is not None and stage.end() <= MAX_STAGE:
                    self._text = self._text[stage.end() :]
                    self._place = "after a stage"
                    return stage.group()
        raise BadAnswer("broken")


def clean_title(text: str) -> str | None:
    """The title as plain text in one line, or None if nothing is left of it or it is a link."""
    title = unicodedata.normalize("NFC", text)
    title = "".join(map(_clean_character, title))
    if _LINK.search(unicodedata.normalize("NFKC", title)):
        return None
    # Taking one thing off may make another one of what was around it.
    while (plain := _strip_markup(title)) != title:
        title = plain
    if len(title) > MAX_TITLE:
        whole = title[: MAX_TITLE - 1]
        title = (whole.rpartition(" ")[0] or whole).rstrip() + "…"
    return title if fold_title(title) and not _LINK.search(title) else None


def fold_title(title: str) -> str:
    """What makes two titles the same: their letters and digits, in any case."""
    return "".join(filter(str.isalnum, title.casefold()))


def _read_title(stage: str) -> str:
    try:
        pairs = json.loads(stage, object_pairs_hook=list, strict=False)
    except ValueError:
        raise BadAnswer("broken") from None
    match pairs:
        case [("title", str(title))]:
            return title
        case _:
            raise BadAnswer("broken")


def _clean_character(character: str) -> str:
    if character == _JOINER:
        return character
    match unicodedata.category(character):
        case "Cc" | "Zl" | "Zp" | "Zs":
            return " "
        case "Cf" | "Cs" | "Co" | "Cn":
            return ""
        case _:
            return character


def _strip_markup(title: str) -> str:
    title = _TAG.sub("", title)
    title = _EMPHASIS.sub("", title)
    title = " ".join(title.split())
    return _LIST_MARKER.sub("", title, count=1) if _LIST_MARKER.match(title) else title

"""Forms with a file: read as they come, into a temporary file, within limits."""

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from aiohttp import BodyPartReader, web

from server.bodies import Received, Receives
from server.errors import Error, Invalid, RateLimited, TooLarge, Unavailable, UnsupportedType
from server.incoming import IN_USE

RECEIVE_TIMEOUT = IN_USE
IDLE_TIMEOUT = 30.0
STEP = 1 << 20
"""Bytes that are written at once."""

MAX_AT_ONCE = 32
MAX_PER_PERSON = 4
MAX_PARTS = 10
MAX_FIELD = 1000
OVERHEAD = 16 * 1024
"""What the form adds to its file, at most."""

FILE = "file"


class Reception:
    """How many files come in at once, of whom, and where they are put meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._busy: Counter[str] = Counter()

    @asynccontextmanager
    async def receive(
        self, request: web.Request, rule: Receives, who: str
    ) -> AsyncIterator[tuple[dict[str, str], Received]]:
        """The form's fields and its file, which is gone afterwards wherever it then is.

        Raises: Invalid, TooLarge, UnsupportedType, RateLimited, Unavailable.
        """
        if request.content_type != "multipart/form-data":
            raise UnsupportedType
        if (request.content_length or 0) > rule.most + OVERHEAD:
            raise TooLarge
        path = self._folder / f"{uuid4().hex}.part"
        with self._place_for(who):
            try:
                yield await _Form(request, rule, path).read()
            finally:
                await asyncio.to_thread(path.unlink, missing_ok=True)

    @contextmanager
    def _place_for(self, who: str) -> Iterator[None]:
        if self._busy.total() >= MAX_AT_ONCE:
            raise Unavailable(retry_after=5)
        if self._busy[who] >= MAX_PER_PERSON:
            raise RateLimited(retry_after=5)
        self._busy[who] += 1
        try:
            yield
        finally:
            self._busy[who] -= 1
            self._busy += Counter()


class _Form:
    """One form on its way in."""

    def __init__(self, request: web.Request, rule: Receives, path: Path) -> None:
        self._request = request
        self._rule = rule
        self._path = path
        self._fields: dict[str, str] = {}
        self._file: Received | None = None

    async def read(self) -> tuple[dict[str, str], Received]:
        try:
            async for part in self._list_parts():
                await self._take(part)
        except (Error, asyncio.CancelledError):
            raise
        except TimeoutError:
            raise Invalid.of(FILE, "interrupted", "Nothing came for too long") from None
        except Exception:
            # aiohttp's reader raises whatever a broken or interrupted form leads it to.
            raise Invalid.of("", "malformed_form", "The form is broken or incomplete") from None
        if self._file is None:
            raise Invalid.of(FILE, "missing", "The form has no file")
        if self._file.size > self._rule.limit(self._fields):
            raise TooLarge
        return self._fields, self._file

    async def _list_parts(self) -> AsyncIterator[BodyPartReader]:
        reader = await self._request.multipart()
        for _ in range(MAX_PARTS):
            part = await asyncio.wait_for(reader.next(), IDLE_TIMEOUT)
            if part is None:
                return
            if not isinstance(part, BodyPartReader) or not part.name:
                raise Invalid.of("", "malformed_form", "A part of the form has no name")
            yield part
        raise Invalid.of("", "too_many_parts", f"A form has at most {MAX_PARTS} parts")

    async def _take(self, part: BodyPartReader) -> None:
        name = str(part.name)
        if name in self._fields or (name == FILE and self._file is not None):
            raise Invalid.of(name, "repeated", "This is in the form twice")
        if name == FILE:
            self._file = await self._keep(part)
        else:
            self._fields[name] = await _read_field(part, name)

    async def _keep(self, part: BodyPartReader) -> Received:
        if not part.filename:
            raise Invalid.of(FILE, "missing", "This is a text, not a file")
        most = min(self._rule.limit(self._fields), self._rule.most)
        digest, size, waiting = hashlib.sha256(), 0, bytearray()
        file = await asyncio.to_thread(_open, self._path)
        try:
            while chunk := await asyncio.wait_for(part.read_chunk(1 << 16), IDLE_TIMEOUT):
                size += len(chunk)
                if size > most:
                    raise TooLarge
                waiting += chunk
                if len(waiting) >= STEP:
                    await asyncio.to_thread(_append, file, digest, waiting)
                    waiting = bytearray()
            await asyncio.to_thread(_append, file, digest, waiting)
        finally:
            await asyncio.to_thread(file.close)
        kind = part.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Received(self._path, size, digest.hexdigest(), part.filename, kind)


async def _read_field(part: BodyPartReader, name: str) -> str:
    text = bytearray()
    while chunk := await asyncio.wait_for(part.read_chunk(MAX_FIELD), IDLE_TIMEOUT):
        text += chunk
        if len(text) > MAX_FIELD:
            raise Invalid.of(name, "too_long", f"A field has at most {MAX_FIELD} bytes")
    with contextlib.suppress(UnicodeDecodeError):
        return text.decode()
    raise Invalid.of(name, "malformed_text", "A field must be UTF-8")


def _open(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _append(file: IO[bytes], digest: Any, data: bytearray) -> None:
    digest.update(data)
    file.write(data)

"""What an image file is made of, and which of its parts make the picture. Blocking: for a thread."""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

Part = tuple[int, int, bool]
"""From where to where in the file, and whether it is kept."""

JPEG_END, JPEG_SCAN = 0xD9, 0xDA
JPEG_PICTURE = {*range(0xC0, 0xD0), JPEG_SCAN, 0xDB, 0xDC, 0xDD}
JPEG_COLOURS = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
PNG_PICTURE = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"}
PNG_COLOURS = {b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"bKGD", b"cICP", b"pHYs"}
WEBP_PICTURE = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
WEBP_TOLD = 0x0C
"""The flags of a WebP that say that it has EXIF and XMP."""

GIF_END, GIF_FRAME, GIF_EXTENSION, GIF_CONTROL, GIF_PROGRAM = 0x3B, 0x2C, 0x21, 0xF9, 0xFF
GIF_LOOPS = {b"NETSCAPE2.0", b"ANIMEXTS1.0"}

_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_AFTER_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")


def strip(path: Path, format: str, into: Path) -> bool:
    """Write the picture alone into another file; False where there is nothing else.

    What is not known to be of the picture is left out, and so is whatever follows its end.

    Raises: ValueError when the file is not made as it should be.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        parts = list(_WALKS[format](data))
        if parts[-1][1] > len(data):
            raise ValueError("a part goes beyond the end")
        if all(kept for _, _, kept in parts) and parts[-1][1] == len(data):
            return False
        with into.open("wb") as out:
            for start, end, kept in parts:
                if kept:
                    out.write(data[start:end])
    if format == "WEBP":
        _count_webp(into)
    return True


def _walk_jpeg(data: mmap.mmap) -> Iterator[Part]:
    yield 0, 2, True
    place = 2
    while marker := _MARKER.match(data, place):
        content = marker.end()
        kind = data[content - 1]
        if kind == JPEG_END:
            yield place, content, True
            return
        end = content + _number(data, content, 2, "big")
        kept = kind in JPEG_PICTURE or data[content + 2 : end].startswith(
            JPEG_COLOURS.get(kind, b"none")
        )
        if kind == JPEG_SCAN:
            following = _AFTER_SCAN.search(data, end)
            end = following.start() if following else len(data)
        yield place, end, kept
        place = end
    raise ValueError("no end")


def _walk_png(data: mmap.mmap) -> Iterator[Part]:
    yield 0, 8, True
    place, kind = 8, b""
    while kind != b"IEND":
        kind = data[place + 4 : place + 8]
        end = place + 12 + _number(data, place, 4, "big")
        yield place, end, kind in PNG_PICTURE or kind in PNG_COLOURS
        place = end


def _walk_webp(data: mmap.mmap) -> Iterator[Part]:
    yield 0, 12, True
    place, last = 12, 8 + _number(data, 4, 4, "little")
    while place < last:
        size = _number(data, place + 4, 4, "little")
        end = place + 8 + size + size % 2
        yield place, end, data[place : place + 4] in WEBP_PICTURE
        place = end


def _walk_gif(data: mmap.mmap) -> Iterator[Part]:
    place = 13 + _count_colours(data[10])
    yield 0, place, True
    while (kind := data[place]) != GIF_END:
        kept = kind == GIF_FRAME
        if kind == GIF_FRAME:
            blocks = place + 11 + _count_colours(data[place + 9])
        elif kind == GIF_EXTENSION:
            blocks = place + 2
            kept = data[place + 1] == GIF_CONTROL or (
                data[place + 1] == GIF_PROGRAM and data[place + 3 : place + 14] in GIF_LOOPS
            )
        else:
            raise ValueError("no block")
        while data[blocks]:
            blocks += data[blocks] + 1
        yield place, blocks + 1, kept
        place = blocks + 1
    yield place, place + 1, True


_WALKS = {"JPEG": _walk_jpeg, "PNG": _walk_png, "WEBP": _walk_webp, "GIF": _walk_gif}


def _number(data: mmap.mmap, place: int, size: int, order: str) -> int:
    if place + size > len(data):
        raise ValueError("no end")
    return int.from_bytes(data[place : place + size], order)  # type: ignore[arg-type]


def _count_colours(flags: int) -> int:
    """The bytes of a GIF's table of colours."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _count_webp(path: Path) -> None:
    """Let the head of a WebP say what there is after some of it was left out."""
    with path.open("r+b") as file:
        head = file.read(21)
        file.seek(4)
        file.write((path.stat().st_size - 8).to_bytes(4, "little"))
        if head[12:16] == b"VP8X":
            file.seek(20)
            file.write(bytes([head[20] & ~WEBP_TOLD]))

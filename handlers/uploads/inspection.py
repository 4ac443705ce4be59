"""What a file really is, and a photo without what it tells of its maker. Blocking: for a thread."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filetype
from PIL import Image, ImageOps, UnidentifiedImageError

from server.errors import Invalid, TooLarge, UnsupportedType

MAX_PIXELS = 40_000_000
"""Of all frames together; decoded, each takes up to four bytes."""

THUMBNAIL = (320, 320)
FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
}
UNTOLD = {"", "application/octet-stream", "binary/octet-stream"}
"""Types by which a client says that it does not know."""

QUALITY = 90
KEPT_OPTIONS = {"icc_profile", "transparency", "duration", "loop", "background"}
KEPT_INFO = {
    "JPEG": {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "icc_profile"}
    | {"adobe", "adobe_transform", "progressive", "progression"},
    "PNG": {"dpi", "gamma", "srgb", "chromaticity", "icc_profile", "transparency", "aspect"}
    | {"interlace", "default_image"},
    "WEBP": {"icc_profile", "background", "loop", "duration", "timestamp"},
    "GIF": {"version", "background", "transparency", "duration", "extension", "loop"},
}
"""What Pillow tells of a file that says nothing about people; anything else is taken out."""


@dataclass(frozen=True, slots=True)
class Inspected:
    type: str
    size: int
    sha256: str
    width: int | None = None
    height: int | None = None


def inspect(path: Path, *, told: str, allowed: frozenset[str], sha256: str) -> Inspected:
    """Find out what the file is; a photo's metadata is taken out of the file itself.

    `told` is the type by the client, which counts for nothing but must not contradict.

    Raises: UnsupportedType, TooLarge, Invalid.
    """
    found = _find_type(path)
    if found not in allowed or not _is_akin(found, told):
        raise UnsupportedType
    if found not in FORMATS:
        return Inspected(found, path.stat().st_size, sha256)
    width, height, changed = _clean(path, FORMATS[found])
    if changed:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Inspected(found, path.stat().st_size, sha256, width, height)


def make_thumbnail(path: Path, into: Path) -> None:
    """A small still WebP of an image that was inspected."""
    with _open(path, [*FORMATS.values()]) as image:
        image.draft("RGB", THUMBNAIL)
        image.thumbnail(THUMBNAIL)
        image.convert("RGBA" if image.has_transparency_data else "RGB").save(into, "WEBP")


def _find_type(path: Path) -> str:
    try:
        found = filetype.guess(path)
    except (OSError, ValueError):
        found = None
    return str(found.mime) if found else ""


def _is_akin(type: str, told: str) -> bool:
    """Whether what the client says may be a mistake, and is no disguise."""
    return told in UNTOLD or told == type or told.partition("/")[0] == type.partition("/")[0]


def _clean(path: Path, format: str) -> tuple[int, int, bool]:
    """Check that it can be decoded; take out what should not be there. Whether anything was."""
    with _open(path, [format]) as image:
        # A phone's JPEG may hold a second picture, which goes with the rest.
        frames = 1 if format == "JPEG" else getattr(image, "n_frames", 1)
        if image.width * image.height * frames > MAX_PIXELS:
            raise TooLarge
        try:
            image.load()
            for frame in range(1, frames):
                image.seek(frame)
                image.load()
            image.seek(0)
            if not _find_extra(image, format):
                return image.width, image.height, False
            return _write_again(image, path, format, frames)
        except (OSError, SyntaxError, ValueError, EOFError):
            raise Invalid.of("file", "broken", "The image cannot be read to its end") from None


def _open(path: Path, formats: list[str]) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow's own, higher limit warns before it refuses; ours is checked next.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(path, formats=formats)
        except Image.DecompressionBombError:
            raise TooLarge from None
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
            raise Invalid.of("file", "broken", "The image cannot be read") from None


def _find_extra(image: Image.Image, format: str) -> bool:
    told: Any = image.getexif()
    texts = getattr(image, "text", None)
    return bool(told or texts or set(image.info) - KEPT_INFO[format])


def _write_again(image: Image.Image, path: Path, format: str, frames: int) -> tuple[int, int, bool]:
    """Encode the pixels anew, turned as the camera meant it."""
    options: dict[str, Any] = {}
    for name in KEPT_OPTIONS & set(image.info):
        options[str(name)] = image.info[name]
    if frames > 1:
        options |= {"save_all": True}
        clean = image
        for key in set(image.info) - KEPT_INFO[format]:
            del image.info[key]
    else:
        clean = ImageOps.exif_transpose(image)
        clean.info = {}
    if format in ("JPEG", "WEBP"):
        options["quality"] = QUALITY
    beside = path.with_suffix(".clean.part")
    try:
        clean.save(beside, format, exif=b"", **options)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return clean.width, clean.height, True

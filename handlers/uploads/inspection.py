"""What a file really is, and a photo without what it tells of its maker. Blocking: for a thread."""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filetype
from PIL import Image, ImageOps

from handlers.uploads.parts import strip
from server.errors import Error, Invalid, TooLarge, UnsupportedType

MAX_PIXELS = 40_000_000
"""Of all frames together; decoded, each takes up to four bytes."""

MAX_FRAMES = 1000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
"""Pillow warns beyond this and refuses beyond twice as much: frames may grow while it reads."""

THUMBNAIL = (320, 320)
FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
}
UNTOLD = {"", "application/octet-stream", "binary/octet-stream"}
"""Types by which a client says that it does not know."""

FAMILIES = {"audio": "media", "video": "media"}
"""A voice that a browser records comes in a container that films use too."""

ORIENTATION = 0x0112
QUALITY = 90


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
    """A small still WebP of an image that was inspected. Raises: TooLarge, Invalid."""
    with _open(path, [*FORMATS.values()]) as image:
        image.draft("RGB", THUMBNAIL)
        image.thumbnail(THUMBNAIL)
        image.convert("RGBA" if image.has_transparency_data else "RGB").save(into, "WEBP")


def _find_type(path: Path) -> str:
    found = filetype.guess_mime(path)
    return "image/png" if found == "image/apng" else str(found)


def _is_akin(type: str, told: str) -> bool:
    """Whether what the client says may be a mistake, and is no disguise."""
    return told in UNTOLD or _find_family(told) == _find_family(type)


def _find_family(type: str) -> str:
    kind = type.partition("/")[0]
    return FAMILIES.get(kind, kind)


def _clean(path: Path, format: str) -> tuple[int, int, bool]:
    """Check that it can be decoded; take out what is not the picture. Whether anything was."""
    beside = path.with_suffix(".clean.part")
    try:
        with _open(path, [format]) as image:
            frames = _decode(image)
            # Without metadata only the pixels tell how the camera was held.
            is_turned = frames == 1 and image.getexif().get(ORIENTATION, 1) != 1
            changed, (width, height) = True, image.size
            if is_turned:
                width, height = _write_again(image, beside, format)
            else:
                changed = _strip(image, path, beside, format, frames)
        if changed:
            beside.replace(path)
        return width, height, changed
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _open(path: Path, formats: list[str]) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=formats) as image:
                yield image
        except Error:
            raise
        except Image.DecompressionBombError:
            raise TooLarge from None
        except Exception:
            # Decoders raise whatever broken bytes lead them to.
            raise Invalid.of("file", "broken", "The image cannot be read to its end") from None


def _decode(image: Image.Image) -> int:
    """Look at every frame, within limits; how many there are."""
    pixels = frames = 0
    while True:
        pixels += image.width * image.height
        if pixels > MAX_PIXELS or frames == MAX_FRAMES:
            raise TooLarge
        image.load()
        frames += 1
        try:
            if image.format == "MPO":
                # A phone's second picture is no frame; it goes with the rest.
                return 1
            image.seek(frames)
        except EOFError:
            image.seek(0)
            return frames


def _strip(image: Image.Image, path: Path, beside: Path, format: str, frames: int) -> bool:
    try:
        return strip(path, format, beside)
    except (ValueError, IndexError):
        if frames > 1:
            raise
        # Decoders forgive more than this does.
        _write_again(image, beside, format)
        return True


def _write_again(image: Image.Image, path: Path, format: str) -> tuple[int, int]:
    """Encode the pixels anew, turned as the camera meant it; its size then."""
    profile = image.info.get("icc_profile")
    clean = ImageOps.exif_transpose(image)
    clean.info = {k: v for k, v in clean.info.items() if k == "transparency"}
    clean.save(path, format, exif=b"", icc_profile=profile, quality=QUALITY)
    return clean.size

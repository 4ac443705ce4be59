"""Pictures as cameras and programs make them, with what they tell about their maker."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms, PngImagePlugin

PLACE = b"55.7558N 37.6173E"
"""Stands in every kind of metadata that a test picture has."""

GPS_IFD = 0x8825
ORIENTATION = 0x0112
DESCRIPTION = 0x010E


def draw(format: str = "PNG", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    """A picture that says nothing but its pixels: red on the left, blue on the right."""
    return save(paint(size), format, **options)


def paint(size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    return image


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def load(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content))
    image.load()
    return image


def tell_place(*, orientation: int = 1) -> bytes:
    """EXIF with the place it was taken at."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[DESCRIPTION] = PLACE.decode()
    exif.get_ifd(GPS_IFD)[1] = "N"
    exif.get_ifd(GPS_IFD)[2] = (55.0, 45.0, 20.9)
    return exif.tobytes()


def take_photo(size: tuple[int, int] = (64, 48), *, orientation: int = 6) -> bytes:
    """A phone's JPEG, held upright: EXIF with GPS, XMP, a comment and a colour profile."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return draw(
        "JPEG",
        size,
        exif=tell_place(orientation=orientation),
        xmp=b"<x>" + PLACE + b"</x>",
        comment=PLACE,
        icc_profile=profile,
    )


def write_on_png() -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", PLACE.decode())
    texts.add_itxt("XML:com.adobe.xmp", PLACE.decode())
    return draw("PNG", pnginfo=texts, exif=tell_place())


def animate(format: str, **options: Any) -> bytes:
    """Three frames."""
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "green", "blue")]
    return save(
        frames[0], format, save_all=True, append_images=frames[1:], duration=100, loop=0, **options
    )


def insert_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG with one more segment, right after its beginning."""
    head = struct.pack(">BBH", 0xFF, marker, len(content) + 2)
    return jpeg[:2] + head + content + jpeg[2:]


def insert_chunk(png: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk, right after its header."""
    chunk = struct.pack(">I", len(content)) + kind + content
    after_header = 8 + 25
    return (
        png[:after_header]
        + chunk
        + struct.pack(">I", zlib.crc32(kind + content))
        + png[after_header:]
    )


def claim_size(png: bytes, width: int, height: int) -> bytes:
    """A PNG whose header tells of more pixels than it has."""
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]

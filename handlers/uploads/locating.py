"""Bytes that are kept, as an answer: a file to send, or where the store sends it from."""

from urllib.parse import quote

from server.bodies import File, Redirect
from server.context import Context

SHOWN = ("image/", "audio/", "video/")
"""Types that browsers show; anything else they are to save."""


async def locate(
    ctx: Context, key: str, name: str, type: str, *, lasting: bool = True
) -> File | Redirect:
    """The bytes under this key, under a name of their own; `lasting` ones browsers may keep."""
    disposition = _describe(name, inline=type.startswith(SHOWN))
    place = await ctx.runtime.blobs.locate(key, type=type, disposition=disposition)
    if isinstance(place, str):
        return Redirect(place)
    return File(place, type, disposition, lasting)


def _describe(name: str, *, inline: bool) -> str:
    """A Content-Disposition, by RFC 6266: the name in the form that takes any letter."""
    return f"{'inline' if inline else 'attachment'}; filename*=utf-8''{quote(name, safe='')}"

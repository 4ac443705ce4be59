"""What files may be uploaded for: their types, their size, and who else may see them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncSession

from storage.uploads import Upload

MB = 1024 * 1024
MAX_SIZE = 256 * MB

PHOTOS = frozenset({"image/jpeg", "image/png", "image/webp"})
IMAGES = PHOTOS | {"image/gif"}
PDF = frozenset({"application/pdf"})
VIDEO = frozenset({"video/mp4", "video/quicktime", "video/webm"})
AUDIO = frozenset({"audio/aac", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/x-wav"})


class Purpose(StrEnum):
    AVATAR = "avatar"
    MESSAGE = "message"
    RESOURCE = "resource"
    GOAL = "goal"
    ANALYSIS = "analysis"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class Rule:
    """The types a purpose takes, and how many bytes."""

    types: frozenset[str]
    max_size: int


RULES = {
    Purpose.AVATAR: Rule(PHOTOS, 10 * MB),
    Purpose.MESSAGE: Rule(IMAGES | PDF | VIDEO | AUDIO, MAX_SIZE),
    Purpose.RESOURCE: Rule(IMAGES | PDF | VIDEO, MAX_SIZE),
    Purpose.GOAL: Rule(IMAGES | PDF | VIDEO | AUDIO, MAX_SIZE),
    Purpose.ANALYSIS: Rule(PHOTOS, 20 * MB),
    Purpose.RECEIPT: Rule(PHOTOS | PDF, 20 * MB),
}

MayRead = Callable[[AsyncSession, Upload, int], Awaitable[bool]]
_readers: dict[Purpose, MayRead] = {}


def readers(purpose: Purpose) -> Callable[[MayRead], MayRead]:
    """Declare who but its owner may read a file of this purpose.

    The function takes `(db, upload, user_id)`. Without one, nobody may.
    """

    def declare(function: MayRead) -> MayRead:
        if purpose in _readers:
            raise TypeError(f"the readers of {purpose} are declared twice")
        _readers[purpose] = function
        return function

    return declare


async def may_read(db: AsyncSession, upload: Upload, user_id: int) -> bool:
    if upload.owner_id == user_id:
        return True
    allows = _readers.get(Purpose(upload.purpose))
    return allows is not None and await allows(db, upload, user_id)


def find_limit(fields: Mapping[str, str]) -> int:
    """How many bytes a form may bring, by what is known of it so far."""
    rule = RULES.get(fields.get("purpose", ""))  # type: ignore[call-overload]  # a StrEnum's key
    return rule.max_size if rule else MAX_SIZE

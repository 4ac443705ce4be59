"""What instances tell each other through Redis carries a seal: whoever can only write there is not heard."""

import hashlib
from collections.abc import Sequence
from hmac import compare_digest

SIZE = 16


class Seals:
    """Seals made with the first key; those of the others are good too, while keys are changed."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [hashlib.sha256(b"instances\0" + key.encode()).digest() for key in keys]

    def seal(self, place: str, content: bytes) -> bytes:
        """The content with its seal, good at this place (a channel, a key) only."""
        return _mac(self._keys[0], place, content) + content

    def open(self, place: str, sealed: bytes) -> bytes | None:
        """The content, or None if nobody of ours sealed it for this place."""
        seal, content = sealed[:SIZE], sealed[SIZE:]
        if any(compare_digest(_mac(key, place, content), seal) for key in self._keys):
            return content
        return None


def _mac(key: bytes, place: str, content: bytes) -> bytes:
    return hashlib.blake2b(place.encode() + b"\0" + content, key=key, digest_size=SIZE).digest()

"""Signed links: they name nobody, work for a while, and cannot be made up."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from hmac import compare_digest

PERIOD = 3600
"""Seconds. A link lives for one to two of these, and is the same within one: browsers cache it."""

_LINK = re.compile(r"(/[a-z0-9/_-]+)\?expires=(\d{1,12})&signature=([0-9a-f]{32})")


class Links:
    def __init__(self, keys: Sequence[str], public_url: str) -> None:
        self._keys = keys
        self._public_url = public_url

    def sign(self, path: str, now: datetime) -> str:
        """An absolute URL that opens this path to whoever has it."""
        return self._public_url + self._sign(path, now)

    def check(self, path: str, expires: str, signature: str) -> bool:
        """Whether we made this link, whether or not it still works."""
        given = signature.encode(errors="replace")
        return any(compare_digest(_mac(key, path, expires).encode(), given) for key in self._keys)

    def renew(self, text: str, now: datetime) -> str:
        """The text with every link of ours as if it were signed now.

        Logged events may be read long after their links ran out. Whoever writes something that
        only looks like a link gets it back as it was.
        """
        if "&signature=" not in text:
            return text

        def again(found: re.Match[str]) -> str:
            return self._sign(found[1], now) if self.check(*found.groups()) else found[0]

        return _LINK.sub(again, text)

    def unsign(self, text: str) -> str:
        """The text with the bare address in place of every link of ours: it opens to nobody else.

        For what is kept longer than links live.
        """

        def strip(found: re.Match[str]) -> str:
            return found[1] if self.check(*found.groups()) else found[0]

        return _LINK.sub(strip, text)

    def _sign(self, path: str, now: datetime) -> str:
        expires = str((int(now.timestamp()) // PERIOD + 2) * PERIOD)
        return f"{path}?expires={expires}&signature={_mac(self._keys[0], path, expires)}"


def _mac(key: str, path: str, expires: str) -> str:
    text = f"link\0{path}\0{expires}"
    return hashlib.blake2b(text.encode(), key=key.encode()[:64], digest_size=16).hexdigest()

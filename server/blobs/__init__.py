"""Where uploaded bytes are kept."""

from pathlib import Path
from typing import Protocol

from server.blobs.folder import FolderBlobs
from server.settings import Settings


class Blobs(Protocol):
    """Bytes by key, never changed once they are there. Raises: Unavailable."""

    async def put(self, key: str, path: Path, type: str) -> None:
        """Keep a file under a key, again if it was there before; the file itself may be taken."""

    async def fetch(self, key: str, into: Path) -> bool:
        """Copy the bytes into a file; False when there are none."""

    async def remove(self, key: str) -> None:
        """Forget the bytes, if there are any."""

    async def locate(self, key: str, *, type: str, disposition: str) -> Path | str:
        """A file to send, or a URL that opens it for some minutes."""

    async def check(self) -> str:
        """Where bytes go, for `run.py check`. Raises when they could not go there now."""

    async def close(self) -> None: ...


def build_blobs(settings: Settings) -> Blobs:
    if settings.s3_bucket:
        # Half a second of imports: only where there is an S3, and not at the first file.
        from server.blobs.s3 import S3Blobs  # noqa: PLC0415

        return S3Blobs(settings)
    return FolderBlobs(settings.data_dir / "blobs")

"""Blobs as files in a folder."""

import asyncio
import os
import shutil
from pathlib import Path
from uuid import uuid4


class FolderBlobs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, path: Path, type: str) -> None:
        await asyncio.to_thread(self._put, key, path)

    async def fetch(self, key: str, into: Path) -> bool:
        try:
            await asyncio.to_thread(shutil.copyfile, self._folder / key, into)
        except FileNotFoundError:
            return False
        return True

    async def remove(self, key: str) -> None:
        await asyncio.to_thread((self._folder / key).unlink, missing_ok=True)

    async def locate(self, key: str, *, type: str, disposition: str) -> Path | str:
        return self._folder / key

    async def check(self) -> str:
        probe = self._folder / f".{uuid4().hex}"
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(probe.touch)
        await asyncio.to_thread(probe.unlink)
        return f"files in {self._folder}"

    async def close(self) -> None:
        pass

    def _put(self, key: str, path: Path) -> None:
        """Whole or not at all: the file is on the disk before it has its name."""
        target = self._folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(target)

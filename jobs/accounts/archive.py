"""An archive as it grows: a zip on the disk, and what it holds so far. Blocking: for a thread."""

import hashlib
from datetime import datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from handlers.accounts.export_payloads import ArchivedFile, Manifest

MANIFEST = "manifest.json"
SCHEMA = 1
"""The version of what is where in an archive, and what it looks like."""

STEP = 1 << 20
"""Bytes that are held at once."""


class Archive:
    def __init__(self, path: Path, made_at: datetime, user_id: int) -> None:
        self._zip = ZipFile(path, "x")
        self._path = path
        self._made_at = made_at
        self._user_id = user_id
        self._files: list[ArchivedFile] = []

    def add(self, name: str, source: Path, *, packed: bool) -> None:
        """A file under this name; `packed` where that makes it smaller."""
        info = ZipInfo(name, self._made_at.timetuple()[:6])
        info.compress_type = ZIP_DEFLATED if packed else ZIP_STORED
        # It says whether the entry needs the fields for more than 4 GB.
        info.file_size = source.stat().st_size
        digest, size = hashlib.sha256(), 0
        with source.open("rb") as file, self._zip.open(info, "w") as entry:
            while piece := file.read(STEP):
                digest.update(piece)
                size += len(piece)
                entry.write(piece)
        self._files.append(ArchivedFile(path=name, size=size, sha256=digest.hexdigest()))

    def finish(self) -> tuple[int, str]:
        """Add the manifest; the size of the whole archive and its SHA-256."""
        manifest = Manifest(
            schema_version=SCHEMA,
            created_at=self._made_at,
            user_id=self._user_id,
            files=self._files,
        )
        info = ZipInfo(MANIFEST, self._made_at.timetuple()[:6])
        self._zip.writestr(info, manifest.model_dump_json(indent=2), ZIP_DEFLATED)
        self._zip.close()
        with self._path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return self._path.stat().st_size, sha256

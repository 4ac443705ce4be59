"""Uploads: files that belong to somebody, and what other nouns use them for."""

from handlers.uploads import files, takeout
from handlers.uploads.declared import make_thumbnail, remove_blob, sweep, uploads
from handlers.uploads.keeping import attach, discard, forget_bytes
from handlers.uploads.locating import locate
from handlers.uploads.payloads import Link, RemoveBlob, Upload, thumbnail_path
from handlers.uploads.purposes import Purpose, readers

__all__ = [
    "Link",
    "Purpose",
    "RemoveBlob",
    "Upload",
    "attach",
    "discard",
    "files",
    "forget_bytes",
    "locate",
    "make_thumbnail",
    "readers",
    "remove_blob",
    "sweep",
    "takeout",
    "thumbnail_path",
    "uploads",
]

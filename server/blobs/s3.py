"""Blobs in any S3."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from server.errors import Unavailable
from server.log import get_logger
from server.settings import Settings

log = get_logger(__name__)

PIECE = 8 * 1024 * 1024
"""Bytes sent and held at once; files that are larger go up in pieces of this size."""

LINK_SECONDS = 300


class S3Blobs:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bucket = settings.s3_bucket
        self._opened = AsyncExitStack()
        self._client: Any = None
        self._opening = asyncio.Lock()

    async def put(self, key: str, path: Path, type: str) -> None:
        where = {"Bucket": self._bucket, "Key": key}
        async with self._reach() as s3:
            if (await asyncio.to_thread(path.stat)).st_size > PIECE:
                await self._put_in_pieces(s3, where, path, type)
            else:
                body = await asyncio.to_thread(path.read_bytes)
                await s3.put_object(**where, Body=body, ContentType=type)

    async def fetch(self, key: str, into: Path) -> bool:
        async with self._reach() as s3:
            try:
                found = await s3.get_object(Bucket=self._bucket, Key=key)
            except s3.exceptions.NoSuchKey:
                return False
            async with found["Body"] as body:
                with await asyncio.to_thread(into.open, "wb") as file:
                    while piece := await body.read(1 << 20):
                        await asyncio.to_thread(file.write, piece)
            return True

    async def remove(self, key: str) -> None:
        async with self._reach() as s3:
            await s3.delete_object(Bucket=self._bucket, Key=key)

    async def locate(self, key: str, *, type: str, disposition: str) -> Path | str:
        async with self._reach() as s3:
            url = await s3.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ResponseContentType": type,
                    "ResponseContentDisposition": disposition,
                },
                ExpiresIn=LINK_SECONDS,
            )
        return str(url)

    async def check(self) -> str:
        async with self._reach() as s3:
            await s3.head_bucket(Bucket=self._bucket)
        return f"bucket {self._bucket}"

    async def close(self) -> None:
        await self._opened.aclose()

    async def _put_in_pieces(self, s3: Any, where: dict[str, str], path: Path, type: str) -> None:
        upload = {
            **where,
            "UploadId": (await s3.create_multipart_upload(**where, ContentType=type))["UploadId"],
        }
        try:
            parts: list[dict[str, Any]] = []
            with await asyncio.to_thread(path.open, "rb") as file:
                while piece := await asyncio.to_thread(file.read, PIECE):
                    number = len(parts) + 1
                    sent = await s3.upload_part(**upload, PartNumber=number, Body=piece)
                    parts.append({"PartNumber": number, "ETag": sent["ETag"]})
            await s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with contextlib.suppress(Exception):
                await s3.abort_multipart_upload(**upload)
            raise

    @asynccontextmanager
    async def _reach(self) -> AsyncIterator[Any]:
        """The client; what goes wrong with it is a service that is away."""
        try:
            yield await self._connect()
        except (BotoCoreError, ClientError, TimeoutError) as error:
            log.warning("s3.failed", error=type(error).__name__)
            raise Unavailable(retry_after=5) from error

    async def _connect(self) -> Any:
        settings = self._settings
        async with self._opening:
            if self._client is None:
                config = AioConfig(
                    signature_version="s3v4",
                    s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
                    connect_timeout=5,
                    read_timeout=30,
                    retries={"max_attempts": 3},
                )
                self._client = await self._opened.enter_async_context(
                    get_session().create_client(
                        "s3",
                        region_name=settings.s3_region,
                        endpoint_url=settings.s3_endpoint_url or None,
                        aws_access_key_id=settings.s3_access_key or None,
                        aws_secret_access_key=settings.s3_secret_key.get_secret_value() or None,
                        config=config,
                    )
                )
            return self._client

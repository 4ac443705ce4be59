"""An S3 with one empty bucket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from aiobotocore.session import get_session
from moto.server import ThreadedMotoServer

KEYS = {"aws_access_key_id": "somebody", "aws_secret_access_key": "a secret"}


class S3StandIn:
    def __init__(self) -> None:
        self.bucket = f"uploads-{uuid4().hex[:8]}"
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.url = ""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a server that keeps its files here."""
        return {
            "s3_bucket": self.bucket,
            "s3_endpoint_url": self.url,
            "s3_access_key": KEYS["aws_access_key_id"],
            "s3_secret_key": KEYS["aws_secret_access_key"],
        }

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)
        self.url = "http://{}:{}".format(*self._server.get_host_and_port())
        async with self.connect() as s3:
            await s3.create_bucket(Bucket=self.bucket)

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)

    def connect(self) -> Any:
        return get_session().create_client(
            "s3", region_name="us-east-1", endpoint_url=self.url, **KEYS
        )

    async def list_keys(self) -> list[str]:
        async with self.connect() as s3:
            found = await s3.list_objects_v2(Bucket=self.bucket)
        return sorted(entry["Key"] for entry in found.get("Contents", ()))

    async def list_unfinished(self) -> list[str]:
        """Uploads in pieces that were begun and neither finished nor given up."""
        async with self.connect() as s3:
            found = await s3.list_multipart_uploads(Bucket=self.bucket)
        return [entry["Key"] for entry in found.get("Uploads", ())]


@asynccontextmanager
async def run_s3() -> AsyncIterator[S3StandIn]:
    stand_in = S3StandIn()
    await stand_in.start()
    try:
        yield stand_in
    finally:
        await stand_in.stop()

"""Files come in and are looked at."""

from uuid import uuid4

from handlers.uploads.declared import make_thumbnail, uploads
from handlers.uploads.inspection import Inspected, inspect
from handlers.uploads.keeping import discard, forget_bytes
from handlers.uploads.locating import locate
from handlers.uploads.payloads import AddUpload, GetUpload, MakeThumbnail, Upload
from handlers.uploads.purposes import MAX_SIZE, RULES, find_limit, may_read
from server.bodies import File, Received, Receives, Redirect
from server.context import Context
from server.contract import EVERYONE
from server.errors import Invalid, NotFound, QuotaExceeded
from server.limits import Rate
from storage import uploads as files
from storage.uploads import NewUpload

ADD_RATE = Rate(60, per=60)
READ_RATE = Rate(300, per=60)
MAX_NAME = 200


@uploads.route(
    "POST",
    "/uploads",
    roles=EVERYONE,
    rate=ADD_RATE,
    status=201,
    receives=Receives(most=MAX_SIZE, limit=find_limit),
)
async def add_upload(ctx: Context, request: AddUpload, file: Received) -> Upload:
    """Upload a file (`file`) for a purpose. What is not used within a day is forgotten.

    Its type is what its bytes say. A photo's metadata, with the place it was taken at, is taken
    out; `size` and `sha256` are of what is kept.

    Raises: too_large, unsupported_type, quota_exceeded, unavailable.
    """
    name = _check_name(file.name)
    inspected = await ctx.runtime.images.run(
        inspect,
        file.path,
        told=file.type,
        allowed=RULES[request.purpose].types,
        sha256=file.sha256,
    )
    row = await _reserve(ctx, request, name, inspected)
    try:
        await ctx.runtime.blobs.put(row.blob_key, file.path, inspected.type)
    except Exception:
        # Should this process die, the sweep does the same. Some of the bytes may be there.
        async with ctx.work() as work:
            await discard(work, [row.id])
        raise
    if not await files.mark_stored(ctx.db, row.id, ctx.now):
        # Its owner has left meanwhile, and its bytes may have been removed before these came.
        forget_bytes(ctx, [row])
    elif row.width:
        ctx.enqueue(make_thumbnail, MakeThumbnail(upload_id=row.id), key=str(row.id))
    return Upload.of(row, ctx.link)


@uploads.route(
    "GET", r"/uploads/{upload_id:\d+}", roles=EVERYONE, rate=READ_RATE, reads=True, signed=True
)
async def get_upload(ctx: Context, request: GetUpload) -> File | Redirect:
    """The bytes of a file, in ranges where asked for.

    Raises: not_found, unavailable.
    """
    row = await _access_upload(ctx, request.upload_id)
    return await locate(ctx, row.blob_key, row.file_name, row.file_type)


@uploads.route(
    "GET",
    r"/uploads/{upload_id:\d+}/thumbnail",
    roles=EVERYONE,
    rate=READ_RATE,
    reads=True,
    signed=True,
)
async def get_thumbnail(ctx: Context, request: GetUpload) -> File | Redirect:
    """A small picture of an image; until there is one, the image itself.

    Raises: not_found, unavailable.
    """
    row = await _access_upload(ctx, request.upload_id)
    if not row.width:
        raise NotFound
    if row.thumbnail_at is None:
        return await locate(ctx, row.blob_key, row.file_name, row.file_type, lasting=False)
    return await locate(ctx, row.thumbnail_key, row.file_name, "image/webp")


async def _reserve(
    ctx: Context, request: AddUpload, name: str, inspected: Inspected
) -> files.Upload:
    async with ctx.work() as work:
        row = await files.reserve_upload(
            work.db,
            NewUpload(
                owner_id=ctx.user.id,
                purpose=request.purpose,
                file_name=name,
                file_type=inspected.type,
                size=inspected.size,
                sha256=inspected.sha256,
                width=inspected.width,
                height=inspected.height,
                blob_key=f"{request.purpose}/{uuid4().hex}",
            ),
            quota=ctx.runtime.settings.upload_quota_mb * 1024 * 1024,
            now=ctx.now,
        )
    if row is None:
        raise QuotaExceeded
    return row


async def _access_upload(ctx: Context, upload_id: int) -> files.Upload:
    """A file that this person, or whoever has its link, may read. Raises: NotFound."""
    async with ctx.work() as work:
        row = await files.get_upload(work.db, upload_id)
        is_theirs = row and (ctx.actor is None or await may_read(work.db, row, ctx.actor.id))
    if row is None or not is_theirs:
        raise NotFound
    return row


def _check_name(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME:
        raise Invalid.of("file_name", "too_long", f"A file name has 1 to {MAX_NAME} characters")
    if set(name) & set("/\\") or name in (".", "..") or not name.isprintable():
        raise Invalid.of("file_name", "not_a_name", "A file name, without any folders")
    return name

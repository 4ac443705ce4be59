"""What an operator does at the command line, done to a running server."""

from handlers.accounts import people
from server.context import Context
from storage.accounts import Status
from tests.instance import Instance


async def change_status(server: Instance, email: str, status: Status) -> None:
    async with Context.open(server.runtime) as ctx:
        await people.change_status(ctx, email, status)


async def create_api_key(server: Instance, email: str) -> dict[str, str]:
    """What the partner's server sends to sign in."""
    async with Context.open(server.runtime) as ctx:
        key_id, secret = await people.create_api_key(ctx, email)
    return {"client_id": key_id, "client_secret": secret}

"""Leaving, later: accounts that nobody came back to, and erasing in two rounds."""

from datetime import timedelta
from functools import cache

from handlers import NAMESPACES
from handlers.accounts.declared import expire
from handlers.accounts.payloads import Expire
from handlers.leaving import (
    GRACE,
    erase,
    erase_again,
    expire_departure,
    grind,
    list_stores,
    mail_receipt,
)
from handlers.leaving.payloads import Erase
from handlers.leaving.steps import Step
from jobs.letters import write_letter
from jobs.perform import implements
from server import texts
from server.context import Context
from server.log import get_logger
from storage import leaving

log = get_logger(__name__)

TRY_LETTER_EVERY = timedelta(minutes=15)
TRY_LETTER_FOR = timedelta(hours=12)
"""No letter is worth keeping the address for longer."""

FIRST_ROUND, LAST_ROUND = 1, 2


@implements(expire)
async def expire_account(ctx: Context, payload: Expire) -> None:
    await expire_departure(ctx, payload.user_id)


@implements(erase)
async def erase_everything(ctx: Context, payload: Erase) -> None:
    """Everything that there is now, at once."""
    key = str(payload.erasure_id)
    if await grind(ctx, payload.erasure_id, FIRST_ROUND, _stores()):
        ctx.enqueue(erase_again, payload, key=key, delay=GRACE)
    else:
        ctx.enqueue(erase, payload, key=key)


@implements(erase_again)
async def erase_the_rest(ctx: Context, payload: Erase) -> None:
    """The same once more, when nothing that began before can come any more; and the receipt."""
    key = str(payload.erasure_id)
    if not await grind(ctx, payload.erasure_id, LAST_ROUND, _stores()):
        ctx.enqueue(erase_again, payload, key=key)
        return
    erasure = await leaving.get_erasure(ctx.db, payload.erasure_id)
    if erasure is None or erasure.finished_at is not None:
        return
    await leaving.finish_erasure(ctx.db, erasure.id, ctx.now)
    ctx.audit("account.erased", subject_id=erasure.pseudonym)
    ctx.enqueue(mail_receipt, payload, key=key)


@implements(mail_receipt)
async def send_receipt(ctx: Context, payload: Erase) -> None:
    """The last letter, and the last of the address; where letters cannot be sent, only that."""
    async with ctx.work() as work:
        erasure = await leaving.get_erasure(work.db, payload.erasure_id)
    if erasure is None or erasure.email is None or erasure.finished_at is None:
        return
    counts = ", ".join(f"{store}: {count}" for store, count in erasure.counts.items())
    locale = erasure.locale or texts.DEFAULT_LOCALE
    letter = write_letter(
        to=erasure.email,
        locale=locale,
        subject=texts.get("mail.erased_subject", locale),
        text=texts.get(
            "mail.erased_body",
            locale,
            asked=f"{erasure.asked_at:%Y-%m-%d %H:%M}",
            finished=f"{erasure.finished_at:%Y-%m-%d %H:%M}",
            receipt=str(-erasure.pseudonym),
            counts=counts,
        ),
        message_id=f"erased.{erasure.id}",
    )
    try:
        await ctx.runtime.mailer.send(letter)
    except Exception as error:
        log.warning("leaving.letter_failed", error=type(error).__name__)
        if ctx.now - erasure.finished_at < TRY_LETTER_FOR:
            key = str(payload.erasure_id)
            ctx.enqueue(mail_receipt, payload, key=key, delay=TRY_LETTER_EVERY)
            return
    await leaving.forget_address(ctx.db, erasure.id)


@cache
def _stores() -> dict[str, Step]:
    return list_stores(NAMESPACES)

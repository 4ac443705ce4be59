"""Accounts, later: letters with links."""

from handlers.accounts import mail_recovery, welcome
from handlers.accounts.payloads import RecoveryMail, Registered
from handlers.accounts.recovery import RESET_LIFETIME
from handlers.accounts.returning import MAY_COME_BACK
from handlers.care import claim_invitations
from jobs.perform import implements
from server import texts
from server.auth import hash_token
from server.context import Context
from server.services import Mail
from storage import accounts


@implements(mail_recovery)
async def send_recovery(ctx: Context, payload: RecoveryMail) -> None:
    """Send a link for a new password, if somebody has the address."""
    # The same job makes the same token: a repeat sends the same letter.
    token = ctx.runtime.tokens.derive("reset", ctx.caller.request_id, payload.email)
    async with ctx.work() as work:
        user = await accounts.find_user(work.db, payload.email)
        if user is None or user.status not in MAY_COME_BACK:
            return
        await accounts.add_reset_token(
            work.db, hash_token(token), user.id, ctx.now + RESET_LIFETIME
        )
    link = f"{ctx.runtime.settings.public_url}/reset-password?token={token}"
    await ctx.runtime.mailer.send(
        Mail(
            to=user.email,
            subject=texts.get("mail.reset_subject", user.locale),
            text=texts.get("mail.reset_body", user.locale, name=user.name, link=link),
            message_id=f"reset.{ctx.job_id}",
        )
    )


@implements(welcome)
async def greet_newcomer(ctx: Context, payload: Registered) -> None:
    """Invitations that waited for this address become relations to answer."""
    await claim_invitations(ctx, payload.user_id)

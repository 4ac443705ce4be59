"""Care, later: invitations to people without an account."""

from handlers.care import InvitationMail, mail_invitation
from jobs.perform import implements
from server import texts
from server.context import Context
from server.services import Mail
from storage import accounts


@implements(mail_invitation)
async def send_invitation(ctx: Context, payload: InvitationMail) -> None:
    """Tell somebody without an account that a psychologist would like to work with them."""
    async with ctx.work() as work:
        psychologist = await accounts.get_user(work.db, payload.psychologist_id)
    if psychologist is None:
        return
    values = {"psychologist": psychologist.name, "link": ctx.runtime.settings.public_url}
    await ctx.runtime.mailer.send(
        Mail(
            to=payload.email,
            subject=texts.get("mail.invitation_subject", payload.locale, **values),
            text=texts.get("mail.invitation_body", payload.locale, **values),
            message_id=f"invitation.{ctx.job_id}",
        )
    )

"""Care, later: invitations to people without an account, and what ends with a relation."""

from handlers.assessments.alerts import hand_over
from handlers.care import InvitationMail, Withdraw, mail_invitation, withdraw
from handlers.leaving.withdrawal import withdraw_copies
from jobs.perform import implements
from server import texts
from server.context import Context
from server.services import Mail
from storage import accounts
from storage import care as relations


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


@implements(withdraw)
async def end_what_was_shared(ctx: Context, payload: Withdraw) -> None:
    """Let a former psychologist read nothing of the patient any more, and others take over."""
    if not await relations.is_active(ctx.db, payload.psychologist_id, payload.patient_id):
        await hand_over(ctx, payload.patient_id)
        await withdraw_copies(ctx, payload.psychologist_id, payload.patient_id)

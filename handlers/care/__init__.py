"""Care: who looks after whom, and what they see of them."""

from handlers.care import patients, takeout
from handlers.care.access import access_patient
from handlers.care.condition import tell_condition
from handlers.care.declared import care, mail_invitation, withdraw
from handlers.care.payloads import AnswerInvitation, InvitationMail, Invite, Withdraw
from handlers.care.relations import accept, claim_invitations, invite

__all__ = [
    "AnswerInvitation",
    "InvitationMail",
    "Invite",
    "Withdraw",
    "accept",
    "access_patient",
    "care",
    "claim_invitations",
    "invite",
    "mail_invitation",
    "patients",
    "takeout",
    "tell_condition",
    "withdraw",
]

"""What care tells people and leaves for later."""

from handlers import notifications
from handlers.care.payloads import Condition, InvitationMail, Relation, Withdraw
from server.contract import Namespace
from server.limits import Rate
from server.outgoing import Queue
from storage.accounts import Role

RATE = Rate(60, per=10)
INVITE_RATE = Rate(30, per=60)
PATIENT = frozenset({Role.PATIENT})
PSYCHOLOGIST = frozenset({Role.PSYCHOLOGIST})

care = Namespace("/care", "Who looks after whom: invitations, relations and their end.")

relation_invited = care.push("relation:invited", Relation, "A psychologist invited a patient.")
relation_accepted = care.push("relation:accepted", Relation, "The patient accepted.")
relation_declined = care.push("relation:declined", Relation, "The patient declined.")
relation_ended = care.push("relation:ended", Relation, "One of the two ended the relation.")

patient_updated = care.push(
    "patient:updated", Condition, "How a patient is has changed; to their psychologists."
)

RELATION = notifications.declare_kind("relation", in_app=False, email=True)
"""Not in the feed: `relation:list` has it, and `relation:invited` tells of it."""

mail_invitation = care.job("care.mail_invitation", InvitationMail, queue=Queue.MAIL)

withdraw = care.job("care.withdraw", Withdraw)

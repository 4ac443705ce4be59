"""Care: psychologists and patients find each other, and part."""

from handlers import notifications
from handlers.accounts.payloads import Email
from handlers.accounts.person import Person
from handlers.chat import CARE, close_chat
from handlers.uploads import Link
from server import texts
from server.context import Context
from server.contract import Namespace
from server.errors import NotFound
from server.limits import Rate
from server.outgoing import Push, Queue
from server.payload import Change, Id, Instant, Nothing, Page, PageRequest, Payload
from storage import accounts
from storage import care as relations
from storage.accounts import MAY_SIGN_IN, Role
from storage.care import Pair, RelationStatus
from storage.notifications import NewNotification

RATE = Rate(60, per=10)
INVITE_RATE = Rate(30, per=60)
PATIENT = frozenset({Role.PATIENT})
PSYCHOLOGIST = frozenset({Role.PSYCHOLOGIST})


class Relation(Payload):
    psychologist: Person
    patient: Person
    status: RelationStatus
    since: Instant | None
    until: Instant | None

    @classmethod
    def of(cls, pair: Pair, link: Link) -> "Relation":
        return cls(
            psychologist=Person.of(pair.psychologist, link),
            patient=Person.of(pair.patient, link),
            status=RelationStatus(pair.relation.status),
            since=pair.relation.since,
            until=pair.relation.until,
        )


class Invite(Change):
    email: Email


class AnswerInvitation(Change):
    psychologist_id: Id


class ListRelations(PageRequest):
    pass


class EndRelation(Change):
    user_id: Id


class InvitationMail(Payload):
    """The job: tell an address without an account who would like to work with its owner."""

    psychologist_id: Id
    email: str
    locale: str


care = Namespace("/care", "Who looks after whom: invitations, relations and their end.")

relation_invited = care.push("relation:invited", Relation, "A psychologist invited a patient.")
relation_accepted = care.push("relation:accepted", Relation, "The patient accepted.")
relation_declined = care.push("relation:declined", Relation, "The patient declined.")
relation_ended = care.push("relation:ended", Relation, "One of the two ended the relation.")

RELATION = notifications.declare_kind("relation", in_app=False, email=True)
"""Not in the feed: `relation:list` has it, and `relation:invited` tells of it."""

mail_invitation = care.job("care.mail_invitation", InvitationMail, queue=Queue.MAIL)


@care.on("relation:invite", roles=PSYCHOLOGIST, rate=INVITE_RATE, at_least=0.1)
async def invite(ctx: Context, request: Invite) -> Nothing:
    """Invite a patient by email. The answer does not tell whether the address is known."""
    user = await accounts.find_user(ctx.db, request.email)
    if user is None:
        await relations.add_invitation(ctx.db, ctx.user.id, request.email, ctx.now)
        ctx.enqueue(
            mail_invitation,
            InvitationMail(psychologist_id=ctx.user.id, email=request.email, locale=ctx.locale),
            key=f"{ctx.user.id}:{request.email}",
        )
    elif user.role == Role.PATIENT and user.status in MAY_SIGN_IN:
        await invite_patient(ctx, ctx.user.id, user.id)
    return Nothing()


@care.on("relation:accept", roles=PATIENT, rate=RATE)
async def accept(ctx: Context, request: AnswerInvitation) -> Relation:
    """Accept an invitation: from now on the two may chat.

    Raises: not_found.
    """
    return await _change(
        ctx,
        request.psychologist_id,
        ctx.user.id,
        relation_accepted,
        was=RelationStatus.INVITED,
        status=RelationStatus.ACTIVE,
        since=ctx.now,
        until=None,
    )


@care.on("relation:decline", roles=PATIENT, rate=RATE)
async def decline(ctx: Context, request: AnswerInvitation) -> Relation:
    """Decline an invitation.

    Raises: not_found.
    """
    return await _change(
        ctx,
        request.psychologist_id,
        ctx.user.id,
        relation_declined,
        was=RelationStatus.INVITED,
        status=RelationStatus.DECLINED,
    )


@care.on("relation:list", roles=CARE, rate=RATE, reads=True)
async def list_relations(ctx: Context, request: ListRelations) -> Page[Relation]:
    """The person's relations of every status, the latest invitation first."""
    pairs, total = await relations.list_pairs(
        ctx.db, ctx.user.id, skip=request.skip, limit=request.limit
    )
    return Page[Relation].of(request, [Relation.of(pair, ctx.link) for pair in pairs], total)


@care.on("relation:end", roles=CARE, rate=RATE)
async def end(ctx: Context, request: EndRelation) -> Relation:
    """End an active relation; its chat stays readable and is closed.

    Raises: not_found.
    """
    pair = (ctx.user.id, request.user_id)
    psychologist_id, patient_id = pair if ctx.user.role == Role.PSYCHOLOGIST else pair[::-1]
    relation = await _change(
        ctx,
        psychologist_id,
        patient_id,
        relation_ended,
        was=RelationStatus.ACTIVE,
        status=RelationStatus.ENDED,
        until=ctx.now,
    )
    await close_chat(ctx, psychologist_id, patient_id)
    return relation


async def invite_patient(ctx: Context, psychologist_id: int, patient_id: int) -> None:
    """Invite somebody who has an account; what is invited or active already stays as it is."""
    if not await relations.invite_patient(ctx.db, psychologist_id, patient_id, ctx.now):
        return
    relation = await _tell(ctx, relation_invited, psychologist_id, patient_id)
    patient = await accounts.get_user(ctx.db, patient_id)
    locale = patient.locale if patient else ctx.locale
    await notifications.notify(
        ctx,
        [
            NewNotification(
                user_id=patient_id,
                type=RELATION.name,
                subject=_subject(psychologist_id),
                title=relation.psychologist.name,
                text=texts.get("notification.relation_text", locale),
                link="/care",
                data={"psychologist_id": psychologist_id},
            )
        ],
    )


async def claim_invitations(ctx: Context, user_id: int) -> None:
    """Turn the invitations to a new account's address into relations to answer."""
    user = await accounts.get_user(ctx.db, user_id)
    if user is None:
        return
    psychologist_ids = await relations.take_invitations(ctx.db, user.email)
    if user.role == Role.PATIENT:
        for psychologist_id in psychologist_ids:
            await invite_patient(ctx, psychologist_id, user.id)


async def _change(
    ctx: Context,
    psychologist_id: int,
    patient_id: int,
    push: Push[Relation],
    *,
    was: RelationStatus,
    **values: object,
) -> Relation:
    if not await relations.change_relation(ctx.db, psychologist_id, patient_id, was=was, **values):
        raise NotFound
    if was == RelationStatus.INVITED:
        await notifications.read_subjects(ctx, [(patient_id, _subject(psychologist_id))])
    ctx.audit(push.name, subject_id=patient_id, psychologist_id=psychologist_id)
    return await _tell(ctx, push, psychologist_id, patient_id)


def _subject(psychologist_id: int) -> str:
    return f"relation:{psychologist_id}"


async def _tell(
    ctx: Context, push: Push[Relation], psychologist_id: int, patient_id: int
) -> Relation:
    relation = Relation.of(await relations.get_pair(ctx.db, psychologist_id, patient_id), ctx.link)
    ctx.push(push, relation, to=[psychologist_id, patient_id])
    return relation

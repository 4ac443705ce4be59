"""Relations: psychologists and patients find each other, and part."""

from handlers import notifications
from handlers.care.condition import introduce
from handlers.care.declared import (
    INVITE_RATE,
    PATIENT,
    PSYCHOLOGIST,
    RATE,
    RELATION,
    care,
    mail_invitation,
    relation_accepted,
    relation_declined,
    relation_ended,
    relation_invited,
    withdraw,
)
from handlers.care.payloads import (
    AnswerInvitation,
    EndRelation,
    InvitationMail,
    Invite,
    ListRelations,
    Relation,
    Withdraw,
)
from handlers.chat import CARE, close_chat
from server import texts
from server.context import Context
from server.errors import NotFound
from server.outgoing import Push
from server.payload import Nothing, Page
from storage import accounts
from storage import care as relations
from storage.accounts import MAY_SIGN_IN, Role
from storage.care import RelationStatus
from storage.notifications import NewNotification


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
    relation = await _change(
        ctx,
        request.psychologist_id,
        ctx.user.id,
        relation_accepted,
        was=RelationStatus.INVITED,
        status=RelationStatus.ACTIVE,
        since=ctx.now,
        until=None,
    )
    await introduce(ctx, ctx.user.id, request.psychologist_id)
    return relation


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

    The psychologist sees nothing of the patient any more: nothing new, and what was told before is
    not told again.

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
    ctx.enqueue(
        withdraw,
        Withdraw(psychologist_id=psychologist_id, patient_id=patient_id),
        key=f"{psychologist_id}:{patient_id}",
    )
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

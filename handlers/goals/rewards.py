"""Achievements are earned, and lost again, in the transaction of what earns them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handlers import notifications
from handlers.goals.awards import AWARDS, Award, Tally
from handlers.goals.declared import (
    ACHIEVEMENT,
    achievement_earned,
    achievement_revoked,
    achievements_progressed,
)
from handlers.goals.firing import local_day
from handlers.goals.payloads import Achievement, Achievements, AchievementsProgressed
from server import texts
from server.context import Context
from storage import goals as kept
from storage.accounts import User
from storage.goals import FeatKind, Share
from storage.notifications import NewNotification

FEW = 20
"""Of fewer people a percentage would tell who they are."""


@dataclass(frozen=True, slots=True)
class Deed:
    """That a stage or a goal is done, or is not any more."""

    kind: FeatKind
    subject_id: int
    is_done: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody has done and holds, and how many others hold the same."""

    tally: Tally
    held: dict[str, kept.Held]
    shares: dict[str, Share]

    def describe(self, locale: str) -> list[Achievement]:
        """Every achievement there is, as this person sees it."""
        return [
            _describe(award, self.tally, self.held.get(award.code), self.shares, locale)
            for award in AWARDS
        ]


async def describe_achievements(ctx: Context, user_id: int, locale: str) -> Achievements:
    standing = await _look(ctx, user_id)
    counted = [share.computed_at for share in standing.shares.values()]
    return Achievements(items=standing.describe(locale), computed_at=min(counted, default=None))


async def settle_rewards(ctx: Context, person: User, deeds: Sequence[Deed]) -> None:
    """Note what was done or undone, earn and revoke what follows, and tell of all that moved."""
    before = await _look(ctx, person.id)
    day = local_day(ctx.now, person.time_zone)
    for deed in deeds:
        if deed.is_done:
            await kept.add_feat(ctx.db, person.id, deed.kind, deed.subject_id, day=day, now=ctx.now)
        else:
            await kept.remove_feat(ctx.db, person.id, deed.kind, deed.subject_id)
    tally = await _count(ctx, person.id)
    is_changed = await _unlock(ctx, person.id, tally, before.held)
    held = await kept.list_held(ctx.db, person.id) if is_changed else before.held
    after = Standing(tally, held, before.shares)
    await _tell(ctx, person, before.describe(person.locale), after.describe(person.locale))


async def _look(ctx: Context, user_id: int) -> Standing:
    return Standing(
        await _count(ctx, user_id),
        await kept.list_held(ctx.db, user_id),
        await kept.list_shares(ctx.db),
    )


async def _count(ctx: Context, user_id: int) -> Tally:
    feats = await kept.count_feats(ctx.db, user_id)
    return Tally.of(feats[FeatKind.STAGE], feats[FeatKind.GOAL])


async def _unlock(ctx: Context, user_id: int, tally: Tally, held: Mapping[str, kept.Held]) -> bool:
    """Hold each achievement as often as it is earned; False where that is so already."""
    counts = {code: one.count for code, one in held.items()}
    due = {award.code: award.count(tally) for award in AWARDS}
    new = [
        (code, ordinal)
        for code, count in due.items()
        for ordinal in range(counts.get(code, 0) + 1, count + 1)
    ]
    lost = {code: count for code, count in due.items() if count < counts.get(code, 0)}
    await kept.add_unlocks(ctx.db, user_id, new, ctx.now)
    await kept.remove_unlocks(ctx.db, user_id, lost)
    return bool(new or lost)


async def _tell(
    ctx: Context, person: User, before: Sequence[Achievement], after: Sequence[Achievement]
) -> None:
    pairs = list(zip(before, after, strict=True))
    earned = [new for old, new in pairs if new.count > old.count]
    revoked = [new for old, new in pairs if new.count < old.count]
    moved = [new for old, new in pairs if new.count == old.count and new != old]
    for achievement in earned:
        ctx.push(achievement_earned, achievement, to=[person.id])
    for achievement in revoked:
        ctx.push(achievement_revoked, achievement, to=[person.id])
    if moved:
        ctx.push(achievements_progressed, AchievementsProgressed(items=moved), to=[person.id])
    subjects = [(person.id, _subject_of(achievement.code)) for achievement in revoked]
    if subjects:
        await notifications.read_subjects(ctx, subjects)
    if earned:
        await notifications.notify(ctx, [_write_note(person, one) for one in earned])


def _write_note(person: User, achievement: Achievement) -> NewNotification:
    return NewNotification(
        user_id=person.id,
        type=ACHIEVEMENT.name,
        subject=_subject_of(achievement.code),
        title=texts.get("notification.achievement_title", person.locale, title=achievement.title),
        text=achievement.description,
        link="/achievements",
        data={"code": achievement.code},
    )


def _describe(
    award: Award,
    tally: Tally,
    held: kept.Held | None,
    shares: Mapping[str, Share],
    locale: str,
) -> Achievement:
    secret = award.hidden and held is None
    words = "hidden" if secret else award.code
    return Achievement(
        code=award.code,
        title=texts.get(f"achievement.{words}_title", locale),
        description=texts.get(f"achievement.{words}_text", locale),
        icon="secret" if secret else award.icon,
        hidden=award.hidden,
        repeats=award.repeats,
        target=None if secret else award.threshold,
        progress=None if secret else award.measure_progress(tally),
        count=held.count if held else 0,
        earned_at=held.earned_at if held else None,
        percent=find_percent(shares.get(award.code)),
    )


def find_percent(share: Share | None) -> float | None:
    """With one decimal; null while the active people are few."""
    if share is None or share.people < FEW:
        return None
    return round(100 * share.holders / share.people, 1)


def _subject_of(code: str) -> str:
    return f"achievement:{code}"

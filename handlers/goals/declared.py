"""What goals tell people and leave for later."""

from handlers import notifications
from handlers.goals.ai_payloads import AskModel, SplitEnded, StageSuggested
from handlers.goals.payloads import (
    Achievement,
    AchievementsProgressed,
    CountHolders,
    Goal,
    GoalDeleted,
    Remind,
    ReminderDue,
)
from server.contract import Namespace
from server.limits import Rate
from server.outgoing import Queue

READ_RATE = Rate(60, per=10)
CHANGE_RATE = Rate(60, per=10)

goals = Namespace("/goals", "Goals with their stages, files and reminders; achievements.")

goal_updated = goals.push(
    "goal:updated", Goal, "A goal as it is now, whatever changed: also a new one."
)
goal_deleted = goals.push("goal:deleted", GoalDeleted, "A goal is gone with everything under it.")
reminder_due = goals.push("reminder:due", ReminderDue, "It is time for a goal.")
achievement_earned = goals.push(
    "achievement:earned", Achievement, "The person earned an achievement, or once more."
)
achievement_revoked = goals.push(
    "achievement:revoked", Achievement, "What an achievement was earned for was undone."
)
achievements_progressed = goals.push(
    "achievement:progressed", AchievementsProgressed, "How much is there of what earns these."
)

stage_suggested = goals.push(
    "stage:suggested", StageSuggested, "A model suggests a stage, while it is writing."
)
ai_finished = goals.push(
    "ai:finished", SplitEnded, "A model has suggested what it could, or was told to stop."
)
ai_failed = goals.push("ai:failed", SplitEnded, "A model could suggest nothing.")

REMINDER = notifications.declare_kind("reminder")
ACHIEVEMENT = notifications.declare_kind("achievement")

remind = goals.job("goals.remind", Remind)
count_holders = goals.job("goals.count_holders", CountHolders)
ask_model = goals.job("goals.ask_model", AskModel, queue=Queue.AI)

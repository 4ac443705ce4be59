"""Goals: what people want to reach, step by step, and what they earn on the way."""

from handlers.goals import achievements, ai, aims, attachments, reminders, stages, takeout
from handlers.goals.achievements import count_all_holders, plan_count
from handlers.goals.declared import ask_model, count_holders, goals, remind
from handlers.goals.reminders import fire_reminder
from handlers.goals.settling import Held, hold_goal, settle_goal
from handlers.goals.stages import put_stage

__all__ = [
    "Held",
    "achievements",
    "ai",
    "aims",
    "ask_model",
    "attachments",
    "count_all_holders",
    "count_holders",
    "fire_reminder",
    "goals",
    "hold_goal",
    "plan_count",
    "put_stage",
    "remind",
    "reminders",
    "settle_goal",
    "stages",
    "takeout",
]

"""What is asked and told about goals that a model splits."""

from typing import Literal

from handlers.goals.payloads import Split, Suggestion, Title, Weight
from server.payload import Change, Id, Payload
from storage.goals import SplitStatus


class SplitGoal(Change):
    goal_id: Id


class Splitting(Payload):
    """The suggestions follow, one by one."""

    status: Literal[SplitStatus.GENERATING]


class CancelSplit(Change):
    goal_id: Id


class AcceptSuggestion(Change):
    """As it was suggested, or with another title; behind all others, or behind that stage."""

    suggestion_id: Id
    title: Title | None = None
    weight: Weight = 1
    after_stage_id: Id | None = None


class RefuseSuggestion(Change):
    suggestion_id: Id


class StageSuggested(Payload):
    """It comes behind the goal's other suggestions."""

    goal_id: Id
    suggestion: Suggestion


class SplitEnded(Payload):
    goal_id: Id
    split: Split


class AskModel(Payload):
    """The job: let a model split a goal."""

    split_id: Id

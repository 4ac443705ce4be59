"""How far a goal has got, and the order of its stages: pure rules."""

from collections.abc import Iterable, Sequence

DONE = 100


def measure_progress(stages: Iterable[tuple[int, bool]]) -> int:
    """Of (weight, is completed): the weight that is completed, in percent of all: 0 to 100.

    Rounded down, so that 100 means that every stage is completed. Nothing to do is 0.
    """
    total = done = 0
    for weight, is_completed in stages:
        total += weight
        done += weight if is_completed else 0
    return DONE * done // total if total else 0


def move_behind(ids: Sequence[int], moved: int, before: int | None) -> list[int]:
    """The ids with one of them right behind another, or first behind none.

    Raises: ValueError, where one of the two is not among them.
    """
    rest = list(ids)
    rest.remove(moved)
    place = 0 if before is None else rest.index(before) + 1
    return [*rest[:place], moved, *rest[place:]]

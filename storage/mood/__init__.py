"""Moods: diaries, and what their entries come to."""

from storage.mood.entries import (
    add_entry,
    change_diary,
    count_entries,
    find_entry,
    get_revision,
    list_entries,
    list_entries_after,
    remove_entry,
)
from storage.mood.statistics import (
    NO_ENTRIES,
    Day,
    Figures,
    PeriodName,
    Variable,
    VariableKind,
    find_days,
    get_figures,
    list_days,
    list_figures,
)
from storage.mood.tables import Diary, Entry

__all__ = [
    "NO_ENTRIES",
    "Day",
    "Diary",
    "Entry",
    "Figures",
    "PeriodName",
    "Variable",
    "VariableKind",
    "add_entry",
    "change_diary",
    "count_entries",
    "find_days",
    "find_entry",
    "get_figures",
    "get_revision",
    "list_days",
    "list_entries",
    "list_entries_after",
    "list_figures",
    "remove_entry",
]

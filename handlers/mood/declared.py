"""What diaries tell people."""

from handlers.mood.payloads import Entry, EntryDeleted
from server.contract import Namespace
from server.limits import Rate

READ_RATE = Rate(60, per=10)
CHANGE_RATE = Rate(30, per=10)
RECKON_RATE = Rate(30, per=10)

READ = "mood.read"
"""What the audit trail calls a psychologist's reading."""

mood = Namespace("/mood", "Diaries of moods, and what they come to over time.")

entry_added = mood.push("entry:added", Entry, "An entry is new.")
entry_updated = mood.push("entry:updated", Entry, "An entry is another now; this is all of it.")
entry_deleted = mood.push("entry:deleted", EntryDeleted, "An entry is gone.")

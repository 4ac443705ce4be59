"""Care: who looks after whom, and what they see of them."""

from storage.care.patients import (
    PatientRow,
    Sort,
    find_last_moods,
    list_patients,
)
from storage.care.relations import (
    Invitation,
    Pair,
    Relation,
    RelationStatus,
    add_invitation,
    change_relation,
    get_pair,
    get_pairs,
    invite_patient,
    is_active,
    list_pairs,
    list_pairs_after,
    list_patient_ids,
    list_psychologists,
    take_invitations,
)

__all__ = [
    "Invitation",
    "Pair",
    "PatientRow",
    "Relation",
    "RelationStatus",
    "Sort",
    "add_invitation",
    "change_relation",
    "find_last_moods",
    "get_pair",
    "get_pairs",
    "invite_patient",
    "is_active",
    "list_pairs",
    "list_pairs_after",
    "list_patient_ids",
    "list_patients",
    "list_psychologists",
    "take_invitations",
]

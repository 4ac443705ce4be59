"""What each line of the table asks for: something of Anna's or Boris's, by its real id.

`who` is the kind of person who asks, or an owner's name.
"""

from typing import Any
from uuid import uuid4

from tests.questionnaires import own_test
from tests.security.planted import plant
from tests.security.scene import Scene
from tests.security.verdicts import Kind

FILE = "tests/security/requests.py"

Requests = dict[str, Any]
"""Payloads of events, by the line's label."""


def list_requests(scene: Scene, who: str) -> Requests:
    return {
        f"{namespace} {label}": payload
        for namespace, write in (
            ("/account", _write_account),
            ("/chat", _write_chat),
            ("/notifications", _write_notifications),
            ("/care", _write_care),
            ("/mood", _write_mood),
            ("/assessments", _write_assessments),
            ("/goals", _write_goals),
            ("/admin", _write_admin),
        )
        for label, payload in write(scene, who).items()
    }


def list_paths(scene: Scene) -> dict[str, str]:
    """Paths of routes, by the line's label."""
    files = {
        "of a message": scene.things.attached_id,
        "of a goal": scene.things.goal.file_id,
        "unused": scene.things.loose_id,
        "her face": scene.things.face_id,
    }
    return {
        r"GET /account/exports/{export_id:\d+}": f"/account/exports/{scene.things.export_id}",
        **{
            f"GET /uploads/{{upload_id:\\d+}}{rest}, {which}": f"/uploads/{upload_id}{rest}"
            for which, upload_id in files.items()
            for rest in ("", "/thumbnail")
        },
    }


def _write_account(scene: Scene, who: str) -> Requests:
    return {
        "profile:get": {},
        "profile:update": {"time_zone": "Europe/Moscow"},
        "profile:update, face": {"avatar_upload_id": scene.things.loose_face_id},
        "settings:get": {},
        "settings:update": {"push_enabled": False},
        "schedule:update": {"times": ["21:30"], "frequency": "daily"},
        "quiet_hours:update": {"starts": "22:00", "ends": "07:00"},
        "device:register": {"token": f"phone of {who}", "platform": "web"},
        "device:remove": {"token": scene.things.device_token},
        "session:list": {},
        "session:end": {"session_id": scene.things.session_id},
        "export:list": {},
    }


def _write_chat(scene: Scene, who: str) -> Requests:
    chat_id, upload_id = scene.things.talk.chat_id, scene.things.loose_id
    chat = {"chat_id": chat_id}
    message = {**chat, "seq": scene.things.seq}
    sent = {"client_ref": str(uuid4()), "text": "Mine"}
    # Into a chat of one's own, where there is one.
    own = {"chat_id": scene.chats.get(who, chat_id)}
    return {
        "chat:open": {"user_id": scene.anna.id},
        "chat:list": {},
        "chat:get": chat,
        "message:send": {**chat, **sent},
        "message:send, her file": {**own, **sent, "upload_ids": [upload_id]},
        "message:edit": {**message, "text": "Mine"},
        "message:delete": message,
        "message:history": chat,
        "message:history, before": {**chat, "before": 3, "limit": 100},
        "message:delivered": message,
        "message:read": message,
        "unread:get": {},
        "typing:set": {**chat, "active": True},
        "presence:get": {"user_ids": [scene.anna.id]},
    }


def _write_notifications(scene: Scene, who: str) -> Requests:
    switches = {"in_app": True, "push": False, "email": False}
    return {
        "notification:list": {},
        "notification:read": {"notification_id": scene.things.notification_id},
        "notification:read_all": {},
        "unread:get": {},
        "preference:list": {},
        "preference:set": {"type": "message", **switches},
        "subscription:list": {},
        "subscription:set": {"categories": ["sleep"]},
    }


def _write_care(scene: Scene, who: str) -> Requests:
    first, second = scene.things.inviter_ids
    return {
        # An address that has an account, which nobody may learn from the answer.
        "relation:invite": {"email": scene.boris.email},
        "relation:accept": {"psychologist_id": first},
        "relation:decline": {"psychologist_id": second},
        "relation:list": {},
        "patient:list": {},
        "patient:stats": {"patient_id": scene.anna.id, "from": "2026-01-01", "to": "2026-12-31"},
        "relation:end": {"user_id": scene.anna.id},
    }


def _write_mood(scene: Scene, who: str) -> Requests:
    entry, hers = {"entry_id": scene.things.entry_id}, {"patient_id": scene.anna.id}
    span = {"from": "2026-01-01", "to": "2026-12-31"}
    # What a fellow patient writes is told to Boris, and rightly: it is not written here.
    score = 11 if who == Kind.FELLOW else 5
    return {
        "entry:add": {"score": score},
        "entry:update": {**entry, "score": 1},
        "entry:delete": entry,
        "entry:list": {},
        "entry:list, hers": hers,
        "series:get": {**hers, **span, "period": "day"},
        "compare:get": {**hers, "a": span, "b": span},
        "correlation:get": {**hers, **span, "x": "score", "y": f"tag:{plant('tag', 'anna')}"},
    }


def _write_assessments(scene: Scene, who: str) -> Requests:
    things = scene.things
    test, alert = {"test_id": things.test_id}, {"alert_id": things.alert_id}
    shipped, hers = {"test_id": things.answered_test_id}, {"patient_id": scene.anna.id}
    return {
        "test:list": {},
        "test:get": test,
        "test:create": own_test(),
        "test:update": {**own_test(), **test},
        "test:publish": test,
        "test:delete": test,
        "draft:save": {**shipped, "answers": []},
        "draft:get": shipped,
        "result:list": {},
        "result:patient": hers,
        "result:get": {"result_id": things.result_ids[0]},
        "result:compare": {"result_ids": [*things.result_ids]},
        "result:export": {"format": "json"},
        "result:export, hers": {"format": "fhir", **hers},
        "alert:list": {},
        "alert:acknowledge": alert,
        "alert:resolve": alert,
        "crisis:get": {},
    }


def _write_goals(scene: Scene, who: str) -> Requests:
    hers = scene.things.goal
    own = scene.goals.get(who, hers)
    goal, stage = {"goal_id": hers.id}, {"stage_id": hers.stage_ids[0]}
    reminder = {"reminder_id": hers.reminder_id}
    times = {"times": ["09:00"]}
    return {
        "goal:create": {"title": "Mine"},
        "goal:list": {},
        "goal:list_archived": {},
        "goal:get": goal,
        "goal:update": {**goal, "title": "Mine"},
        "goal:archive": goal,
        "goal:restore": goal,
        "stage:add": {**goal, "title": "Mine"},
        "stage:add, behind hers": {
            "goal_id": own.id,
            "title": "Mine",
            "after_stage_id": hers.stage_ids[0],
        },
        "stage:update": {**stage, "title": "Mine"},
        "stage:reorder": {**stage, "after_stage_id": None},
        "stage:reorder, by hers": {
            "stage_id": own.stage_ids[1],
            "after_stage_id": hers.stage_ids[0],
        },
        "stage:complete": stage,
        "stage:undo": stage,
        "attachment:add": {**goal, "upload_id": own.loose_ids[0]},
        "attachment:add, to mine": {"goal_id": own.id, "upload_id": hers.loose_ids[1]},
        "attachment:remove": {**goal, "upload_id": hers.file_id},
        "reminder:set": {**goal, **times},
        "reminder:set, her times": {"goal_id": own.id, **reminder, **times},
        "reminder:list": {},
        "reminder:list, of hers": goal,
        "reminder:snooze": {**reminder, "minutes": 10},
        "reminder:delete": reminder,
        "suggestion:accept": {"suggestion_id": hers.suggestion_ids[0]},
        "suggestion:accept, mine": {
            "suggestion_id": own.suggestion_ids[2],
            "after_stage_id": hers.stage_ids[1],
        },
        "suggestion:refuse": {"suggestion_id": hers.suggestion_ids[1]},
        "ai:split": goal,
        "ai:cancel": goal,
        "stage:delete": stage,
        "goal:delete": goal,
        "achievement:list": {},
    }


def _write_admin(scene: Scene, who: str) -> Requests:
    first, second = scene.things.dead_job_ids
    return {
        "job:list": {},
        "job:retry": {"job_id": first},
        "job:drop": {"job_id": second},
        "backlog:get": {},
    }

"""What must not wait: who hears of it, who looks after it, and what happens when nobody does."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from handlers.accounts import people
from server.context import Context
from storage.accounts import Role, Status
from storage.audit import AuditEntry
from tests.client import Client
from tests.command import Shell
from tests.instance import Instance, Person
from tests.questionnaires import PHQ9, SPACE, catch_up, submit
from tests.stand_ins.waiting import set_clock
from tests.talks import eventually, refusal

ALARMING = [0] * 8 + [1]
FEED = "/notifications"
CONTACTS = {
    "en": [{"name": "Somebody who listens", "phone": "+00 123", "url": None}],
    "ru": [{"name": "Кто выслушает", "phone": None, "url": "https://example.org"}],
}


async def list_alerts(server: Instance, person: Person, **wanted: Any) -> list[Any]:
    answer = await server.ask(person, SPACE, "alert:list", wanted)
    items: list[Any] = answer["items"]
    return items


async def settle(server: Instance, person: Person, verb: str, alert: Any, **more: Any) -> Any:
    return await server.ask(person, SPACE, f"alert:{verb}", {"alert_id": alert["id"], **more})


def told_of_alerts(device: Client) -> list[tuple[str, Any]]:
    return [
        (told.event, told.data) for told in device.pushes(SPACE) if told.event.startswith("alert:")
    ]


async def test_an_alert_is_raised_whatever_the_total(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    admin = await server.add_person(Role.ADMIN)
    device, owner = [await server.connect(one, SPACE, FEED) for one in (psychologist, patient)]

    result = await submit(server, patient, PHQ9, ALARMING)

    assert (result["total"], result["flags"]) == (1, ["safety"])
    raised = (await device.wait_for("alert:raised", namespace=SPACE)).data
    assert raised == {
        "id": raised["id"],
        "patient": {"id": patient.id, "name": patient.name, "avatar_url": None},
        "result_id": result["id"],
        "test_id": result["test_id"],
        "code": "phq-9",
        "question_code": "phq9_9",
        "score": 1,
        "status": "open",
        "raised_at": result["created_at"],
        "escalated_at": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "resolved_at": None,
        "resolved_by": None,
        "note": None,
    }
    assert await list_alerts(server, psychologist) == [raised]
    note = (await device.wait_for("notification:created", namespace=FEED)).data
    assert (note["type"], note["title"], note["data"]["alert_id"]) == (
        *("alert", patient.name, raised["id"]),
    )
    assert await list_alerts(server, admin) == []
    await catch_up(owner)
    assert told_of_alerts(owner) == []
    await submit(server, patient, PHQ9, [3] * 8 + [0])
    assert len(await list_alerts(server, psychologist)) == 1


async def test_without_a_psychologist_the_admins_hear_of_it(server: Instance) -> None:
    admin, patient = await server.add_person(Role.ADMIN), await server.add_person()
    stranger = await server.add_person(Role.PSYCHOLOGIST)
    device = await server.connect(admin, SPACE)

    await submit(server, patient, PHQ9, ALARMING)

    raised = (await device.wait_for("alert:raised", namespace=SPACE)).data
    assert await list_alerts(server, admin) == [raised]
    assert await list_alerts(server, stranger) == []
    assert await refusal(settle(server, stranger, "acknowledge", raised)) == "not_found"
    done = await settle(server, admin, "resolve", raised, note="Called them")
    assert (done["status"], done["resolved_by"], done["note"]) == (
        *("resolved", admin.id, "Called them"),
    )


@pytest.mark.parametrize("status", [Status.BLOCKED, Status.DEACTIVATED])
async def test_who_cannot_sign_in_does_not_keep_it_from_the_admins(
    server: Instance, status: Status
) -> None:
    psychologist, patient = await server.connect_pair()
    admin = await server.add_person(Role.ADMIN)
    device = await server.connect(admin, SPACE)
    async with Context.open(server.runtime) as ctx:
        await people.change_status(ctx, psychologist.email, status)

    await submit(server, patient, PHQ9, ALARMING)

    raised = (await device.wait_for("alert:raised", namespace=SPACE)).data
    assert await list_alerts(server, admin) == [raised]
    other = await server.add_person(Role.PSYCHOLOGIST)
    await server.relate(other, patient)
    await submit(server, patient, PHQ9, ALARMING)
    assert await list_alerts(server, admin) == [raised]
    assert len(await list_alerts(server, other)) == 2


async def test_an_alert_is_acknowledged_and_resolved_once(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    other = await server.add_person(Role.PSYCHOLOGIST)
    await server.relate(other, patient)
    devices = [await server.connect(one, SPACE, FEED) for one in (psychologist, other)]
    await submit(server, patient, PHQ9, ALARMING)
    (alert,) = await list_alerts(server, other)

    taken = await settle(server, psychologist, "acknowledge", alert)
    assert (taken["status"], taken["acknowledged_by"]) == ("acknowledged", psychologist.id)
    assert await settle(server, other, "acknowledge", alert) == taken
    solved = await settle(server, other, "resolve", alert, note="Spoken with")
    assert solved == {
        **taken,
        "status": "resolved",
        "resolved_at": solved["resolved_at"],
        "resolved_by": other.id,
        "note": "Spoken with",
    }
    assert await settle(server, psychologist, "acknowledge", alert) == solved
    assert await settle(server, psychologist, "resolve", alert, note="Late") == solved

    for device in devices:
        await catch_up(device)
        assert told_of_alerts(device) == [
            ("alert:raised", alert),
            ("alert:acknowledged", taken),
            ("alert:resolved", solved),
        ]
        read = await device.wait_for("notification:read", namespace=FEED)
        assert read.data["total"] == 0
    for status, count in (("open", 0), ("resolved", 1)):
        assert len(await list_alerts(server, psychologist, status=status)) == count


async def test_a_former_psychologist_has_nothing_to_do_with_it(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    await submit(server, patient, PHQ9, ALARMING)
    (alert,) = await list_alerts(server, psychologist)
    device = await server.connect(psychologist, SPACE)

    await server.ask(patient, "/care", "relation:end", {"user_id": psychologist.id})

    assert await list_alerts(server, psychologist) == []
    for verb in ("acknowledge", "resolve"):
        assert await refusal(settle(server, psychologist, verb, alert)) == "not_found"
        assert await refusal(settle(server, patient, verb, alert)) == "forbidden"
        assert await refusal(settle(server, psychologist, verb, {"id": 999_999})) == "not_found"
    await submit(server, patient, PHQ9, ALARMING)
    await catch_up(device)
    assert device.pushes(SPACE) == []


async def test_without_its_psychologist_an_alert_is_for_the_admins(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    other = await server.add_person(Role.PSYCHOLOGIST)
    await server.relate(other, patient)
    admin = await server.add_person(Role.ADMIN)
    device = await server.connect(admin, SPACE)
    for _ in range(2):
        await submit(server, patient, PHQ9, ALARMING)
    second, first = await list_alerts(server, psychologist)
    await settle(server, psychologist, "acknowledge", first)

    await server.ask(patient, "/care", "relation:end", {"user_id": psychologist.id})
    assert len(await list_alerts(server, other)) == 2
    await server.ask(patient, "/care", "relation:end", {"user_id": other.id})

    raised = (await device.wait_for("alert:raised", namespace=SPACE)).data
    taken = (await device.wait_for("alert:acknowledged", namespace=SPACE)).data
    assert (raised["id"], taken["id"]) == (second["id"], first["id"])
    assert await list_alerts(server, admin) == [raised, taken]
    assert (await settle(server, admin, "resolve", taken))["status"] == "resolved"


async def test_what_nobody_acknowledges_goes_to_the_admins(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    admin = await server.add_person(Role.ADMIN)
    devices = [await server.connect(one, SPACE) for one in (psychologist, admin)]
    await submit(server, patient, PHQ9, ALARMING)
    assert await list_alerts(server, admin) == []

    await set_clock(server, ahead=timedelta(minutes=31))
    escalated = (await devices[1].wait_for("alert:raised", namespace=SPACE)).data

    assert escalated["escalated_at"] is not None
    assert await list_alerts(server, admin) == [escalated]
    again = await devices[0].wait_for("alert:raised", namespace=SPACE, count=2)
    assert again.data == escalated
    await set_clock(server, ahead=timedelta(days=1, minutes=62))
    await devices[1].wait_for("alert:raised", namespace=SPACE, count=2)
    await settle(server, admin, "acknowledge", escalated)
    for device in devices:
        await device.wait_for("alert:acknowledged", namespace=SPACE)


async def test_an_alert_comes_through_quiet_hours_by_push(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    device = {"token": "phone", "platform": "ios"}
    await server.ask(psychologist, "/account", "device:register", device)
    await server.ask(psychologist, "/account", "settings:update", {"push_enabled": False})
    now = server.runtime.clock()
    hours = [f"{now + timedelta(minutes=minutes):%H:%M}" for minutes in (-60, 60)]
    quiet = {"starts": hours[0], "ends": hours[1]}
    await server.ask(psychologist, "/account", "quiet_hours:update", quiet)

    await submit(server, patient, PHQ9, ALARMING)

    async def find_push() -> list[str]:
        sent = (server.runtime.settings.data_dir / "outbox").glob("*.json")
        return [path.read_text("utf-8") for path in sent]

    (push,) = await eventually(find_push)
    assert "alert:" in push


async def test_the_patient_is_shown_what_helps(start: Any) -> None:
    server = await start(crisis_contacts=CONTACTS)
    patient = await server.add_person()

    result = await submit(server, patient, PHQ9, ALARMING)

    assert result["crisis"]["contacts"] == CONTACTS["en"]
    assert "Here you find help" in result["crisis"]["text"]
    assert await server.ask(patient, SPACE, "crisis:get", {}) == result["crisis"]
    await server.ask(patient, "/account", "profile:update", {"locale": "ru"})
    patient = await server.sign_in(patient.email)
    card = await server.ask(patient, SPACE, "crisis:get", {})
    assert (card["title"], card["contacts"]) == ("Вы не одни", CONTACTS["ru"])
    calm = await submit(server, patient, PHQ9, [1] * 8 + [0])
    assert calm["crisis"] is None


async def test_without_contacts_it_is_the_emergency_number(server: Instance, shell: Shell) -> None:
    patient = await server.add_person()
    card = (await submit(server, patient, PHQ9, ALARMING))["crisis"]
    assert card["contacts"] == []
    assert "local emergency number" in card["text"]

    checked = await shell.run("check")

    assert checked.code == 0
    assert "warn  crisis contacts: none in en, ru" in checked.out


async def test_every_reading_by_somebody_else_is_audited(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    result = await submit(server, patient, PHQ9, ALARMING)
    readings: list[tuple[str, str, dict[str, Any]]] = [
        (SPACE, "result:patient", {"patient_id": patient.id}),
        (SPACE, "result:get", {"result_id": result["id"]}),
        (SPACE, "result:export", {"patient_id": patient.id, "format": "csv"}),
        (
            "/care",
            "patient:stats",
            {"patient_id": patient.id, "from": "2026-01-01", "to": "2026-02-01"},
        ),
    ]
    for namespace, event, payload in readings:
        await server.ask(psychologist, namespace, event, payload)
    await server.ask(psychologist, "/care", "patient:list", {})
    await list_alerts(server, psychologist)
    await server.ask(patient, SPACE, "result:list", {})
    await server.ask(patient, SPACE, "result:get", {"result_id": result["id"]})
    (alert,) = await list_alerts(server, psychologist)
    for _ in range(2):  # it is settled once, and then read
        await settle(server, psychologist, "acknowledge", alert)

    async with server.runtime.database.session(write=False) as db:
        entries = list(
            await db.scalars(
                select(AuditEntry)
                .where(AuditEntry.actor_id == psychologist.id)
                .order_by(AuditEntry.id)
            )
        )
        told = list(await db.scalars(select(AuditEntry).where(AuditEntry.action == "result.told")))
    seen = [
        (entry.action, entry.subject_id, entry.detail.get("event"))
        for entry in entries
        if entry.action.endswith((".read", ".listed"))
    ]
    assert seen == [
        ("result.read", patient.id, "result:patient"),
        ("result.read", patient.id, "result:get"),
        ("result.read", patient.id, "result:export"),
        ("patient.read", patient.id, "patient:stats"),
        ("patient.listed", None, None),
        ("alert.listed", None, None),
        ("alert.listed", None, None),
        ("alert.read", patient.id, None),
    ]
    assert [(entry.actor_id, entry.subject_id, entry.detail) for entry in told] == [
        (patient.id, patient.id, {"psychologist_id": psychologist.id})
    ]
    assert [e.detail for e in entries if e.action == "patient.listed"] == [
        {"patient_ids": [patient.id]}
    ]

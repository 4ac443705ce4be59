"""Several processes on one port: every client is served, whichever takes its requests."""

import os
import signal
from pathlib import Path

import pytest

from server.peers import NAME_LENGTH
from storage.accounts import Role
from tests.command import Served, Shell
from tests.stand_ins.waiting import eventually
from tests.talks import message

WORKERS = 3


def list_children(served: Served) -> set[int]:
    """The processes that serve."""
    path = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    return {int(child) for child in path.read_text().split()}


def is_alive(process_id: int) -> bool:
    return Path(f"/proc/{process_id}").exists()


@pytest.mark.scaled
async def test_polling_clients_are_served_by_processes_together(shell: Shell) -> None:
    async with shell.serve(arguments=["--workers", str(WORKERS)]) as served:
        server = served.instance
        assert len(list_children(served)) == WORKERS
        psychologist = await server.add_person(Role.PSYCHOLOGIST)
        patients = [await server.add_person() for _ in range(8)]
        for patient in patients:
            await server.relate(psychologist, patient)
        chats = [await server.open_chat(psychologist, patient) for patient in patients]
        listening = await server.connect(psychologist)
        seen: set[str] = set()

        async def all_serve() -> bool:
            """Who listens by then is given some of the connections."""
            device = await server.connect(psychologist, transports=("polling",))
            seen.add(device.session_id[:NAME_LENGTH])
            await device.close()
            return len(seen) == WORKERS

        await eventually(all_serve, "every process to listen")
        devices = [await server.connect(patient, transports=("polling",)) for patient in patients]
        owners = {device.session_id[:NAME_LENGTH] for device in devices}
        assert len(owners) > 1, "the system gave all connections to one of them"
        for device, chat_id in [*zip(devices, chats, strict=True)] * 3:
            await device.ask("message:send", message(chat_id))
        await listening.wait_for("message:created", count=3 * len(patients))
        assert await served.stop() == 0


@pytest.mark.scaled
async def test_a_process_that_dies_is_started_again(shell: Shell) -> None:
    async with shell.serve(arguments=["--workers", "2"]) as served:
        before = list_children(served)
        os.kill(min(before), signal.SIGKILL)

        async def are_two_again() -> bool:
            after = list_children(served)
            return len(after) == 2 and len(before & after) == 1

        await eventually(are_two_again, "another process")
        person = await served.instance.add_person()
        assert await (await served.instance.connect(person)).ask("unread:get") is not None
        assert await served.stop() == 0


@pytest.mark.scaled
async def test_processes_do_not_outlive_the_one_that_started_them(shell: Shell) -> None:
    async with shell.serve(arguments=["--workers", "2"]) as served:
        children = list_children(served)
        served.process.kill()

        async def are_gone() -> bool:
            return not any(map(is_alive, children))

        await eventually(are_gone, "an end of them all")


@pytest.mark.embedded
async def test_several_processes_need_redis(shell: Shell) -> None:
    complaint = (await shell.run("serve", "--workers", "2")).complaint
    assert complaint == "run.py: without REDIS_URL one process serves all"

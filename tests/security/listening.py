"""Devices of everybody, and making sure that they have heard what there was to hear."""

from handlers import NAMESPACES
from server.context import Context
from server.payload import Nothing
from tests.client import Client, Told
from tests.instance import Person
from tests.security.doors import PLACES
from tests.security.scene import Scene
from tests.security.verdicts import Kind

BELLS = {
    namespace.name: next(iter(namespace.pushes.values()))
    for namespace in NAMESPACES
    if namespace.pushes
}
"""A push of each namespace that has any, sent with nothing in it."""

STATES = ("/chat", "/notifications")
"""Where a device is told a count once it has joined."""


async def connect_everybody(scene: Scene, transport: str = "websocket") -> dict[int, Client]:
    """A device for each person, by the person's id, in every namespace; all of them quiet."""
    people: list[Person] = [*scene.strangers.values(), scene.boris, scene.anna]
    devices = {
        person.id: await scene.server.connect(person, *PLACES, transports=(transport,))
        for person in people
    }
    for device in devices.values():
        for place in STATES:
            await device.wait_for("unread:changed", namespace=place)
    await devices[scene.boris.id].wait_for(
        "presence", where=lambda presence: presence["user_id"] == scene.anna.id
    )
    await ring(scene, devices)
    for device in devices.values():
        device.told.clear()
    return devices


async def ring(scene: Scene, devices: dict[int, Client]) -> None:
    """Until every device has heard whatever was told to it before this moment."""
    async with Context.open(scene.server.runtime) as ctx:
        for push in BELLS.values():
            ctx.push(push, Nothing(), to=devices)
    for device in devices.values():
        for place, push in BELLS.items():
            await device.wait_for(push.name, namespace=place, where=lambda data: data == {})


def list_told(device: Client) -> list[Told]:
    """What a device was told, but for the bells."""
    return [told for place in PLACES for told in device.told[place] if told.data != {}]


def list_disturbances(scene: Scene, devices: dict[int, Client]) -> list[Told]:
    """What reached Anna and Boris, but for the presence of who shares a chat with him."""
    fellow = scene.strangers[Kind.FELLOW].id
    return [
        told
        for victim in scene.victims
        for told in list_told(devices[victim.id])
        if not (told.event == "presence" and told.data["user_id"] == fellow)
    ]

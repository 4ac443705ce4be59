"""Two people chatting."""

from uuid import uuid4

from tests.instance import Instance


def message(chat_id: int, text: str) -> dict[str, object]:
    return {"chat_id": chat_id, "client_ref": str(uuid4()), "text": text}


async def test_a_message_reaches_every_device_of_both(server: Instance) -> None:
    psychologist, patient = await server.connect_pair()
    chat_id = await server.open_chat(psychologist, patient)
    writer = await server.connect(psychologist)
    phone, laptop = await server.connect(patient), await server.connect(patient)

    sent = await writer.ask("message:send", message(chat_id, "Hello!"))

    assert sent["seq"] == 1
    for device in (writer, phone, laptop):
        told = await device.wait_for("message:created")
        assert told.data == sent
        assert told.seq

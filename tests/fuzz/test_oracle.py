"""The oracle and the fuzzer themselves: what they would let pass, they cannot find."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from server import calls
from server.delivery import Delivery
from server.log import get_logger
from server.transport import Client, Connection
from server.wire import Wire
from tests.fuzz.fuzzer import Failure, find_flaw, fuzz
from tests.fuzz.grammar import is_json, measure_depth, read_name
from tests.fuzz.links import open_polling, open_socket, write_body
from tests.fuzz.mutations import make_noise
from tests.fuzz.oracle import BrokenText, Fate, Frame, Session
from tests.fuzz.packets import Scene, make_event
from tests.fuzz.setting import hear_complaints, unharmed
from tests.instance import Instance

# The door knows no database: once is enough.
pytestmark = pytest.mark.embedded

DEEP = "[" * 5000 + "]" * 5000
PLACE = '{"_placeholder":true,"num":%s}'


@pytest.mark.parametrize(
    "text", ["[]", ' [ 1 , {"a":[null]} ] ', '"\\ud800"', "-0.5e+3", "NaN", "9" * 6000, DEEP]
)
def test_json_is_json(text: str) -> None:
    assert is_json(text)


@pytest.mark.parametrize(
    "text",
    ["", "[", "[}", "{]", "[1,]", '{"a"}', '"\\u12"', "01", "-", "[] []", DEEP[:-1], f"{DEEP},"],
)
def test_what_is_no_json_is_none(text: str) -> None:
    assert not is_json(text)


def test_the_name_is_the_first_string_of_an_array() -> None:
    assert read_name(' [ "a\\u0062" , 5]') == "ab"
    assert [read_name(text) for text in ("[]", "[5]", '{"a":1}', '"a"')] == [None] * 4
    assert measure_depth(DEEP) == 5000


OPEN: list[list[Frame]] = [
    ["3"],
    ['42/in,1["x"]'],
    ['42/out,1["x"]'],
    ['450-/in,1["x"]'],
    [f'42/in,1["x",{DEEP}]'],
    [f'451-/in,1["x",{PLACE % 0}]', b""],
    ["41/in,", '42/in,1["x"]'],
]
CLOSED: list[tuple[list[Frame], str]] = [
    (["1"], ""),
    (["2"], "malformed_packet"),
    (["40/in,{}"], "already_connected"),
    (['42/out,["x"]'], "unauthenticated"),
    (['42/in,1["x"'], "malformed_packet"),
    (["42/in,1[5]"], "malformed_packet"),
    (['420-/in,1["x"]'], "malformed_packet"),
    (['45/in,1["x"]'], "malformed_packet"),
    (['4511-/in,1["x"]'], "malformed_packet"),
    ([b"x"], "malformed_packet"),
    (['451-/in,1["x"]', '42/in,2["x"]'], "malformed_packet"),
    ([f'451-/in,1["x",{PLACE % 1}]', b""], "malformed_packet"),
    ([BrokenText(b"\xff")], "not_utf8"),
    (["4" + "x" * 1_000_000], "too_large"),
]


def new_session() -> Session:
    session = Session()
    session.joined.add("/in")
    return session


@pytest.mark.parametrize("frames", OPEN, ids=lambda frames: ascii(frames)[:40])
def test_what_must_be_answered(frames: list[Frame]) -> None:
    verdict = new_session().judge(frames)
    assert verdict.fate is Fate.OPEN
    assert sum(verdict.due.values()) == (frames != ["3"])


@pytest.mark.parametrize(("frames", "reason"), CLOSED, ids=lambda value: ascii(value)[:40])
def test_what_must_close(frames: list[Frame], reason: str) -> None:
    verdict = new_session().judge(frames)
    assert (verdict.fate, verdict.reasons) == (Fate.CLOSED, frozenset((reason,)))
    assert not verdict.due


def test_what_comes_before_the_end_may_be_answered() -> None:
    verdict = new_session().judge(['42/in,7["x"]', "zzz", '42/in,8["x"]'])
    assert verdict.allowed == {("/in", 7): 1}


def test_a_polling_body_is_read_as_its_packets() -> None:
    body = write_body([f'451-/in,1["x",{PLACE % 0}]', b"\xff"])
    assert new_session().judge_body(body).due == {("/in", 1): 1}
    for wrong in (b"", b"3\x1e", b"b!", b"x" * 1_000_001, b"3\x1e" * 10_000):
        assert new_session().judge_body(wrong).fate is Fate.CLOSED


def test_an_error_has_its_shape() -> None:
    error = {"code": "invalid", "message": "No.", "retryable": False}
    assert find_flaw(error) is None
    wrong: list[dict[str, Any]] = [
        {"code": "internal", "retryable": True},
        {"code": "made_up"},
        {"retryable": True},
        {"detail": "x"},
        {"fields": [{"path": ""}]},
        {"message": ""},
    ]
    assert all(find_flaw({**error, **change}) for change in wrong)


Plant = Callable[[pytest.MonkeyPatch], None]


def answer_some(times: int) -> Plant:
    """Answer the fuzz's own events with one of the usual ids this often."""
    answer = Client.answer

    def answer_wrongly(self: Client, ack: int | None, body: str) -> None:
        for _ in range(times if ack == 7 else 1):
            answer(self, ack, body)

    return lambda patch: patch.setattr(Client, "answer", answer_wrongly)


def break_validation(patch: pytest.MonkeyPatch) -> None:
    def find_nothing(value: Any) -> None:
        raise RuntimeError

    patch.setattr(calls, "find_unstorable", find_nothing)


def forgive(patch: pytest.MonkeyPatch) -> None:
    def say_nothing(self: Connection, reason: str) -> None:
        """Whatever it was."""

    patch.setattr(Connection, "refuse", say_nothing)


def refuse_all(patch: pytest.MonkeyPatch) -> None:
    receive = Connection.receive

    def refuse(self: Connection, data: str | bytes) -> None:
        if ":list" in str(data):
            self.refuse("malformed_packet")
        receive(self, data)

    patch.setattr(Connection, "receive", refuse)


@pytest.mark.parametrize("open_link", [open_socket, open_polling])
@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (answer_some(0), "unanswered"),
        (answer_some(2), "answered too often"),
        (break_validation, "no answer that a client may get"),
        (refuse_all, "well-formed .* closed it"),
        (forgive, "it must close"),
    ],
)
async def test_a_planted_mistake_is_found(
    fuzzed: Instance,
    scenes: list[Scene],
    monkeypatch: pytest.MonkeyPatch,
    open_link: Any,
    plant: Plant,
    found: str,
) -> None:
    plant(monkeypatch)
    make = make_noise if plant is forgive else make_event
    with hear_complaints(), pytest.raises(Failure, match=f"(?s)seed 1: .*{found}"):
        await fuzz(fuzzed, scenes, 1, open_link, make, cases=300, namespaces=2)


def keep_feeds(patch: pytest.MonkeyPatch) -> None:
    def keep(self: Delivery, client: Client) -> None:
        """As if they were there."""

    patch.setattr(Delivery, "leave", keep)


def log_an_error(patch: pytest.MonkeyPatch) -> None:
    drop = Connection.drop

    def complain(self: Connection, client: Client) -> None:
        get_logger("planted").error("planted")
        logging.getLogger("planted").error("planted")
        drop(self, client)

    patch.setattr(Connection, "drop", complain)


def mix_up_messages(patch: pytest.MonkeyPatch) -> None:
    post = Wire.post

    def post_twice(self: Wire, frame: Any, **options: Any) -> None:
        for _ in range(1 + ("message:created" in frame.text)):
            post(self, frame, **options)

    patch.setattr(Wire, "post", post_twice)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (keep_feeds, "left behind"),
        (log_an_error, "planted"),
        (mix_up_messages, "the pair was told"),
    ],
)
async def test_planted_harm_is_found(
    fuzzed: Instance,
    scenes: list[Scene],
    monkeypatch: pytest.MonkeyPatch,
    plant: Plant,
    found: str,
) -> None:
    if found == "left behind":
        # Nothing ends this waiting.
        monkeypatch.setattr("tests.fuzz.setting.PATIENCE", 0.5)

    async def harm() -> None:
        async with unharmed(fuzzed) as chatting:
            plant(monkeypatch)
            turn = chatting.give_turn
            await fuzz(fuzzed, scenes, 1, open_socket, make_event, cases=30, on_batch=turn)

    with pytest.raises(AssertionError, match=found) as caught:
        await harm()
    assert not isinstance(caught.value, Failure)

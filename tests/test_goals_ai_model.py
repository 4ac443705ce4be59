"""The way to a language model, against a stand-in of its API; and the twin without one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import openai
import pytest

from handlers.goals.ai_answers import AnswerReader
from handlers.goals.ai_prompts import MAX_SUGGESTIONS, write_prompt
from jobs.providers import ai
from jobs.providers.ai import build_writer
from server.services import Refused, TryLater, Usage, Writer
from server.settings import Settings
from tests.stand_ins.openai import MODEL, READ, WRITTEN, Answer, ModelStandIn, stages

# No database is in play: once is enough.
pytestmark = pytest.mark.embedded


def make_settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, **values)


@pytest.fixture
async def writer(model: ModelStandIn, tmp_path: Path) -> AsyncIterator[Writer]:
    writer = build_writer(make_settings(tmp_path, **model.settings))
    yield writer
    await writer.close()


async def ask(writer: Writer) -> list[str | Usage]:
    return [part async for part in writer.write("Do this.", "{}", max_tokens=100)]


async def test_an_answer_comes_piece_by_piece_and_then_its_cost(
    writer: Writer, model: ModelStandIn
) -> None:
    model.answers.append(stages("Бегать"))
    model.slow = True
    async with aclosing(writer.write("Do this.", "{}", max_tokens=100)) as answer:
        for piece in ('{"stages": [', '{"title": "Бегать"}', "]}"):
            model.let_go()
            assert await anext(answer) == piece
        assert [part async for part in answer] == [Usage(MODEL, READ, WRITTEN)]
    (question,) = model.questions
    assert question["messages"] == [
        {"role": "system", "content": "Do this."},
        {"role": "user", "content": "{}"},
    ]
    asked = {name: question[name] for name in ("model", "max_tokens", "response_format")}
    assert asked == {
        "model": MODEL,
        "max_tokens": 100,
        "response_format": {"type": "json_object"},
    }
    assert model.left == 0


async def test_who_stops_listening_ends_the_request(writer: Writer, model: ModelStandIn) -> None:
    model.answers.append(stages("One", "Two"))
    model.slow = True
    async with aclosing(writer.write("", "{}", max_tokens=100)) as answer:
        model.let_go()
        await anext(answer)
    await model.wait_until_left()


async def test_who_is_cancelled_while_nothing_comes_ends_the_request(
    writer: Writer, model: ModelStandIn
) -> None:
    model.answers.append(stages("One", stall=True))
    asking = asyncio.create_task(ask(writer))
    await model.wait_for_questions()
    asking.cancel()
    await model.wait_until_left()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
async def test_what_will_never_work_is_refused(
    writer: Writer, model: ModelStandIn, status: int
) -> None:
    model.answers.append(Answer(status=status))
    with pytest.raises(Refused, match=f"http_{status}"):
        await ask(writer)
    assert len(model.questions) == 1


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503])
async def test_what_may_work_later_is_no_refusal(
    writer: Writer, model: ModelStandIn, status: int
) -> None:
    model.answers.append(Answer(status=status))
    with pytest.raises(ConnectionError, match=f"http_{status}"):
        await ask(writer)
    assert len(model.questions) == 1, "it is the job that tries again"


@pytest.mark.parametrize(
    ("told", "seconds"), [("7", 7), ("7.5", 7.5), ("-1", 0), ("1e999", 86_400), ("nan", 0)]
)
async def test_a_busy_model_says_when_to_come_again(
    writer: Writer, model: ModelStandIn, told: str, seconds: float
) -> None:
    model.answers.append(Answer(status=429, retry_after=told))
    with pytest.raises(TryLater) as busy:
        await ask(writer)
    assert busy.value.seconds == seconds


async def test_a_busy_model_may_name_the_time_or_say_nothing(
    writer: Writer, model: ModelStandIn
) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)
    for told, least, most in ((at, 50, 60), (None, 1, 60), ("soon", 1, 60)):
        model.answers = type(model.answers)([Answer(status=429, retry_after=told)])
        with pytest.raises(TryLater) as busy:
            await ask(writer)
        assert least < busy.value.seconds <= most


async def test_a_cut_connection_is_no_refusal(writer: Writer, model: ModelStandIn) -> None:
    model.answers.append(stages("One", cut=True))
    with pytest.raises((openai.APIConnectionError, ConnectionError)):
        await ask(writer)


async def test_a_model_that_falls_silent_is_given_up(
    model: ModelStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ai, "STALL_TIMEOUT", 0.3)
    writer = build_writer(make_settings(tmp_path, **model.settings))
    model.answers.append(stages("One", stall=True))
    with pytest.raises(openai.APITimeoutError):
        await ask(writer)
    await model.wait_until_left()
    await writer.close()


async def test_what_a_filter_ends_is_refused_and_what_lacks_room_may_work_later(
    writer: Writer, model: ModelStandIn
) -> None:
    model.answers.append(stages("One", finish="content_filter"))
    model.answers.append(stages("One", finish="insufficient_system_resource"))
    with pytest.raises(Refused, match="content_filter"):
        await ask(writer)
    with pytest.raises(TryLater):
        await ask(writer)


async def test_a_check_asks_for_the_model(model: ModelStandIn, tmp_path: Path) -> None:
    for changes, says in (({}, None), ({"ai_model": "other"}, LookupError)):
        writer = build_writer(make_settings(tmp_path, **{**model.settings, **changes}))
        if says is None:
            assert await writer.check() == f"{MODEL} at {model.url}"
        else:
            with pytest.raises(says):
                await writer.check()
        await writer.close()


@pytest.mark.parametrize(("locale", "beginning"), [("en", "Example: "), ("ru", "Пример: ")])
async def test_without_a_model_examples_say_that_they_are_such(
    tmp_path: Path, locale: str, beginning: str
) -> None:
    writer = build_writer(make_settings(tmp_path))
    said: list[str] = []
    for expected in (3, 1, 0):
        most = expected or MAX_SUGGESTIONS
        prompt = write_prompt("Run", "", said=said, most=most, locale=locale)
        reader = AnswerReader(most=most, said=said)
        parts = [part async for part in writer.write(*prompt, max_tokens=100)]
        found = [title for part in parts if isinstance(part, str) for title in reader.read(part)]
        assert all(title.startswith(beginning) for title in found)
        assert len(found) == expected
        said += found
        assert parts[-1] == Usage("local", 0, 0)
    assert json.loads("".join(part for part in parts if isinstance(part, str))) == {"stages": []}
    assert "no model" in await writer.check()


async def test_production_gives_nobody_examples(tmp_path: Path) -> None:
    # All but the environment is checked when the settings are made, and matters nothing here.
    settings = make_settings(tmp_path).model_copy(update={"environment": "production"})
    writer = build_writer(settings)
    with pytest.raises(Refused):
        await ask(writer)
    assert await writer.check() == "no model, goals are not split"

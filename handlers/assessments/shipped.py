"""The tests that come with the server: read from files, and put where all tests are.

A skeleton has structure, scoring and licence but no texts: an institution that may use the test
loads them, as an admin, with `test:update` and `test:publish`.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from handlers.assessments.authoring import new_questions, search_titles
from handlers.assessments.changes import adjust
from handlers.assessments.declared import assessments
from handlers.assessments.definition import Definition
from server.context import Context
from server.payload import Payload
from server.runtime import Runtime
from server.settings import Settings
from storage import assessments as tests
from storage.assessments import TestStatus, VersionStatus

_FOLDER = Path(__file__).parent / "instruments"


class Shipped(Payload):
    code: str
    definition: Definition
    is_skeleton: bool


class _Skeleton(Payload):
    """So many questions, each with answers of these scores; some from the last to the first."""

    questions: int
    scores: list[float]
    reversed: list[int] = Field(default_factory=list)


@cache
def list_shipped() -> list[Shipped]:
    """Each test that comes with the server, by code."""
    return [_read(tomllib.loads(path.read_text("utf-8"))) for path in sorted(_FOLDER.glob("*"))]


@assessments.starting
async def install(runtime: Runtime) -> None:
    """Add the tests that are not there yet.

    Raises: ValueError where the settings name thresholds that there are not.
    """
    _check_settings(runtime.settings)
    async with Context.open(runtime) as ctx:
        there = await tests.list_codes(ctx.db)
        for shipped in list_shipped():
            if shipped.code not in there:
                await _add(ctx, shipped)


def _check_settings(settings: Settings) -> None:
    codes = {shipped.code for shipped in list_shipped()}
    named = {*settings.change_rules, *settings.prorated_tests}
    if unknown := sorted(named - codes):
        raise ValueError(f"CHANGE_RULES or PRORATED_TESTS name {unknown[0]}, which is no test")
    for code in settings.change_rules:
        try:
            adjust(None, code, settings.change_rules)
        except ValidationError as error:
            (problem, *_) = error.errors()
            raise ValueError(f"CHANGE_RULES, {code}: {problem['loc']} {problem['msg']}") from None


async def _add(ctx: Context, shipped: Shipped) -> None:
    definition = shipped.definition
    status, version = (
        (TestStatus.DRAFT, VersionStatus.DRAFT)
        if shipped.is_skeleton
        else (TestStatus.PUBLISHED, VersionStatus.PUBLISHED)
    )
    test = await tests.add_test(
        ctx.db,
        code=shipped.code,
        author_id=None,
        status=status,
        search=search_titles(definition.title),
        now=ctx.now,
    )
    # None: another instance, which starts too, was first.
    if test is not None:
        await tests.add_version(
            ctx.db,
            test.id,
            1,
            status=version,
            rules=definition.model_dump(mode="json", exclude={"questions"}),
            questions=new_questions(definition),
            now=ctx.now,
        )


def _read(file: dict[str, Any]) -> Shipped:
    code, skeleton = file.pop("code"), file.pop("skeleton", None)
    if skeleton is not None:
        file["questions"] = _build(code, _Skeleton.model_validate(skeleton, strict=False))
    answers = file.pop("answers", {})
    for question in file["questions"]:
        if "answers" in question:
            question["options"] = answers[question.pop("answers")]
    definition = Definition.model_validate(file, strict=False)
    return Shipped(code=code, definition=definition, is_skeleton=skeleton is not None)


def _build(code: str, skeleton: _Skeleton) -> list[dict[str, Any]]:
    prefix = code.replace("-", "")
    return [
        {
            "code": f"{prefix}_{number}",
            "text": {"en": f"[{number}]"},
            "options": [
                {"text": {"en": f"[{score:g}]"}, "score": score}
                for score in skeleton.scores[:: -1 if number in skeleton.reversed else 1]
            ],
        }
        for number in range(1, skeleton.questions + 1)
    ]

"""What is shipped, to the letter, in both languages: texts, codes, bands, and published vectors.

`published.tsv` is what the owners of PHQ-9 and GAD-7 publish, and what we call their bands.
"""

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.instance import Instance, Person
from tests.questionnaires import SPACE, find_test, submit

Row = dict[str, str]

LOCALES = ("en", "ru")
PUBLISHED: list[Row] = list(
    csv.DictReader(
        Path(__file__).with_name("published.tsv").read_text("utf-8").splitlines(),
        delimiter="\t",
        quoting=csv.QUOTE_NONE,
    )
)
SHIPPED: dict[str, tuple[int, dict[str, str | None]]] = {
    "phq-9": (9, {"panel": "44249-1", "total": "44261-6"}),
    "gad-7": (7, {"panel": "69737-5", "total": "70274-6"}),
    "phq-2": (2, {"panel": None, "total": "55758-7"}),
    "gad-2": (2, {"panel": None, "total": None}),
}
"""How many questions are scored, and LOINC's codes."""

LICENCE = (
    "Copyright © Pfizer Inc. No permission required to reproduce, translate, display or distribute."
)
PROVENANCE = {"en": "phqscreeners.com, English", "ru": "phqscreeners.com, Russian for Russia"}

VECTORS: list[tuple[str, list[int], int]] = [
    ("phq-9", [0] * 9, 0),
    ("phq-9", [0] * 9 + [3], 0),
    ("phq-9", [1] * 5 + [0] * 4, 5),
    ("phq-9", [1, 2, 1, 2, 1, 2, 1, 2, 1], 13),
    ("phq-9", [3] * 5 + [0] * 4, 15),
    ("phq-9", [3] * 7 + [0] * 2, 21),
    ("phq-9", [3] * 9, 27),
    ("gad-7", [2, 3, 2, 1, 2, 1, 2], 13),
]


def find_rows(part: str, test: str = "") -> list[Row]:
    return [row for row in PUBLISHED if (row["test"], row["part"]) == (test, part)]


def list_bands(code: str, locale: str) -> dict[range, dict[str, str]]:
    """The severity of each range of totals."""
    bands: dict[range, dict[str, str]] = {}
    for row in PUBLISHED:
        part, _, totals = row["part"].partition(" ")
        if (row["test"], part) == (code, "band"):
            least, _, most = totals.partition("-")
            bands[range(int(least), int(most) + 1)] = {"code": row["code"], "text": row[locale]}
    return bands


def spread(total: int, questions: int) -> list[int]:
    """Answers from 0 to 3 that have this sum."""
    return [min(3, max(0, total - 3 * number)) for number in range(questions)]


async def add_reader(server: Instance, locale: str) -> Person:
    person = await server.add_person()
    await server.ask(person, "/account", "profile:update", {"locale": locale})
    return await server.sign_in(person.email)


def list_options(question: Any) -> list[tuple[str, str, int]]:
    return [(option["loinc"], option["text"], option["score"]) for option in question["options"]]


def list_answers(part: str, locale: str) -> list[tuple[str, str, int]]:
    return [(row["code"], row[locale], score) for score, row in enumerate(find_rows(part))]


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("code", SHIPPED)
async def test_every_word_and_code(server: Instance, code: str, locale: str) -> None:
    reader, (scored, panel) = await add_reader(server, locale), SHIPPED[code]
    family = code[:3]

    test = await find_test(server, reader, code)

    (stem,) = find_rows("stem", family)
    assert test["instructions"] == stem[locale]
    rows = find_rows("question", family)[:scored] + find_rows("tenth", family) * (scored == 9)
    assert [(question["loinc"], question["text"]) for question in test["questions"]] == [
        (row["code"], row[locale]) for row in rows
    ]
    for question, row in zip(test["questions"], rows, strict=True):
        is_scored = row["part"] == "question"
        assert (question["scored"], question["required"]) == (is_scored, is_scored)
        answers = list_answers("frequency" if is_scored else "difficulty", locale)
        assert list_options(question) == answers
    assert test["loinc"] == panel
    assert test["licence"]["kind"] == "free"
    assert LICENCE in test["licence"]["notice"]
    assert "LOINC is copyright © Regenstrief Institute" in test["licence"]["notice"]
    assert (test["language"], test["languages"]) == (locale, [*LOCALES])
    assert test["wording"]["provenance"] == PROVENANCE[locale]


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("code", SHIPPED)
async def test_both_edges_of_every_band(server: Instance, code: str, locale: str) -> None:
    reader, (questions, _) = await add_reader(server, locale), SHIPPED[code]
    bands = list_bands(code, locale)
    assert [total for totals in bands for total in totals] == [*range(3 * questions + 1)]
    for totals, severity in bands.items():
        for total in (totals[0], totals[-1]):
            result = await submit(server, reader, code, spread(total, questions))
            assert (result["total"], result["severity"]) == (total, severity)
            assert result["language"] == locale


@pytest.mark.parametrize("locale", LOCALES)
async def test_published_vectors(server: Instance, locale: str) -> None:
    reader = await add_reader(server, locale)
    for code, scores, total in VECTORS:
        bands = list_bands(code, locale)
        (severity,) = [bands[totals] for totals in bands if total in totals]
        result = await submit(server, reader, code, scores)
        assert (result["total"], result["severity"]) == (total, severity), scores
        (shown, *_) = (await server.ask(reader, SPACE, "result:list", {}))["items"]
        assert shown["severity"] == severity

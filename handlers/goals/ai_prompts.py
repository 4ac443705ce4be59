"""What a model is asked. Values in, values out."""

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from server import texts

MAX_SUGGESTIONS = 12
"""That one split suggests."""

MAX_TOKENS = 2_000
"""For an answer: twelve titles of the greatest length, in letters of more than one token."""

MAX_SAID = 50
MAX_DESCRIPTION = 4_000
CHARACTERS_PER_TOKEN = 3


class Prompt(NamedTuple):
    instructions: str
    question: str


def write_prompt(
    title: str, description: str, *, said: Sequence[str], most: int, locale: str
) -> Prompt:
    """The question is JSON, so that what the person wrote cannot pose as anything but data.

    `said` are titles that are not wanted again, `most` is how many are wanted.
    """
    question = {
        "title": title,
        "description": description[:MAX_DESCRIPTION],
        "language": texts.choose(locale),
        "stages": list(said[-MAX_SAID:]),
    }
    return Prompt(
        texts.get("ai.instructions", locale, most=most).strip(),
        json.dumps(question, ensure_ascii=False),
    )


def hash_question(model: str, locale: str, title: str, description: str) -> str:
    """The same for the same question: the goal, the model, and what it is told to do."""
    told = texts.get("ai.instructions", locale, most=MAX_SUGGESTIONS)
    parts = [model, texts.choose(locale), told, title, description]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def estimate_tokens(prompt: Prompt, written: int) -> int:
    """What a question and so many characters of its answer cost, where nobody told."""
    return (len(prompt.instructions) + len(prompt.question) + written) // CHARACTERS_PER_TOKEN

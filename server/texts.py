"""Texts for people, in English and Russian; one TOML file a language."""

import tomllib
from functools import cache
from pathlib import Path
from string import Template

DEFAULT_LOCALE = "en"
LOCALES = ("en", "ru")

_FOLDER = Path(__file__).parent / "catalogues"


def get(key: str, locale: str, **values: object) -> str:
    """The text of this key ("section.name") with its `$values` filled in."""
    section, _, name = key.partition(".")
    return Template(_catalogue(choose(locale))[section][name]).substitute(values)


def choose(wanted: str) -> str:
    """The catalogue for a locale or an Accept-Language header: its first language that we have."""
    for part in wanted.split(","):
        language = part.partition(";")[0].strip().lower().replace("_", "-").partition("-")[0]
        if language in LOCALES:
            return language
    return DEFAULT_LOCALE


@cache
def _catalogue(locale: str) -> dict[str, dict[str, str]]:
    return tomllib.loads((_FOLDER / f"{locale}.toml").read_text("utf-8"))

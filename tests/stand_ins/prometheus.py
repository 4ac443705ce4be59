"""Prometheus: asks for the metrics and reads them as it does."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one scrape brought."""

    series: Series

    def get(self, name: str, /, **labels: str) -> float:
        """The value of a series; one that is not there counts nothing."""
        return self.series.get((name, frozenset(labels.items())), 0.0)

    def has(self, name: str) -> bool:
        return any(known == name for known, _ in self.series)


async def scrape(url: str) -> Scrape:
    async with ClientSession() as session, session.get(f"{url}/metrics") as response:
        assert response.status == 200
        text = await response.text()
    return Scrape(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


class Growth:
    """How much counters grew: the registry is the process's, and so older than the test."""

    def __init__(self, url: str, before: Scrape) -> None:
        self._url = url
        self._before = before

    @classmethod
    async def begin(cls, url: str) -> "Growth":
        return cls(url, await scrape(url))

    async def of(self, name: str, /, **labels: str) -> float:
        now = await scrape(self._url)
        return now.get(name, **labels) - self._before.get(name, **labels)

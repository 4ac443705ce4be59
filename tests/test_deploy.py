"""Dashboard and alerts ask for metrics that exist, by labels that they have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from server import metrics
from tests.promql import OVER_RANGES, Expression, Malformed, parse

# No database is in play: once is enough.
pytestmark = pytest.mark.embedded

DEPLOY = Path(__file__).parents[1] / "deploy"
TARGET = {"instance", "job"}
"""Labels that Prometheus adds to whatever it scrapes."""

VARIABLES = {"datasource", "instance", "job"}
SUFFIXES = {Gauge: ("",), Counter: ("_total",), Histogram: ("_bucket", "_count", "_sum")}
GROWING = ("_bucket", "_count", "_sum", "_total")
_SHOWN = re.compile(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def list_series() -> dict[str, set[str]]:
    """Every series that a scrape may bring, with its labels."""
    found: dict[str, set[str]] = {"up": set()}
    for metric in vars(metrics).values():
        if isinstance(metric, Gauge | Counter | Histogram):
            for suffix in SUFFIXES[type(metric)]:
                bounds = {"le"} if suffix == "_bucket" else set()
                found[metric._name + suffix] = {*metric._labelnames} | bounds
    for family in REGISTRY.collect():
        if not family.name.startswith("emotrack_"):
            found |= {sample.name: set(sample.labels) for sample in family.samples}
    return found


SERIES = list_series()


def read_yaml(name: str) -> Any:
    return yaml.safe_load((DEPLOY / "prometheus" / name).read_text())


def read_rules() -> list[dict[str, Any]]:
    return [rule for group in read_yaml("alerts.yml")["groups"] for rule in group["rules"]]


def read_dashboard() -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads((DEPLOY / "grafana" / "emotrack.json").read_text())
    return dashboard


def list_panels() -> list[dict[str, Any]]:
    return [panel for panel in read_dashboard()["panels"] if panel["type"] != "row"]


def list_targets() -> Iterator[tuple[str, str, str]]:
    for panel in list_panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


RULES = read_rules()
TARGETS = list(list_targets())


def check(text: str) -> set[str]:
    """The labels that the result may have. Fails where anything asked for does not exist."""
    expression = parse(text)
    assert expression.selectors, text
    for selector in expression.selectors:
        assert selector.metric in SERIES, f"there is no {selector.metric}"
        known = SERIES[selector.metric] | TARGET
        assert selector.labels <= known, f"{selector.metric} has no {selector.labels - known}"
        assert selector.ranged == (selector.within in OVER_RANGES), text
        growing = selector.within in ("rate", "increase")
        assert growing == selector.metric.endswith(GROWING), f"{selector.metric} in {text}"
    assert expression.groups <= list_labels(expression), text
    return expression.groups or list_labels(expression)


def list_labels(expression: Expression) -> set[str]:
    return TARGET.union(*(SERIES[selector.metric] for selector in expression.selectors))


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_can_fire_and_says_what_to_do(rule: dict[str, Any]) -> None:
    labels = check(rule["expr"])
    assert rule["labels"]["severity"] in ("critical", "warning")
    for text in (rule["annotations"]["summary"], rule["annotations"]["description"]):
        assert text.strip()
        assert set(_SHOWN.findall(text)) <= labels, text


def test_what_must_be_noticed_has_an_alert() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    watched = {selector.metric for rule in RULES for selector in parse(rule["expr"]).selectors}
    assert watched >= {
        "up",
        "emotrack_calls_total",
        "emotrack_call_seconds_bucket",
        "emotrack_delivery_lag_seconds_bucket",
        "emotrack_bus_healthy",
        "emotrack_bus_lost_total",
        "emotrack_oldest_job_seconds",
        "emotrack_jobs_due",
        "emotrack_dead_jobs",
        "emotrack_pool_waiting",
        "emotrack_loop_lag_seconds_bucket",
        "emotrack_database_up",
    }


@pytest.mark.parametrize(("title", "expression", "legend"), TARGETS)
def test_a_panel_asks_for_what_exists(title: str, expression: str, legend: str) -> None:
    labels = check(expression)
    assert set(_SHOWN.findall(legend)) <= labels, legend
    for selector in parse(expression).selectors:
        assert selector.labels >= TARGET, f"{title} does not heed the dashboard's choice"
    assert set(_VARIABLE.findall(expression)) <= VARIABLES | {"__rate_interval"}


def test_the_dashboard_is_whole() -> None:
    dashboard = read_dashboard()
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert set(variables) == VARIABLES
    assert variables["datasource"]["type"] == "datasource"
    for name in TARGET:
        check_choice(variables[name]["query"]["query"], name)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in list_panels():
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert panel["description"].strip(), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def check_choice(query: str, label: str) -> None:
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
    assert found is not None
    assert found[2] == label
    check(found[1])


def test_no_two_panels_lie_on_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in read_dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_metric_is_looked_at() -> None:
    asked = [expression for _, expression, _ in TARGETS] + [rule["expr"] for rule in RULES]
    used = {selector.metric for text in asked for selector in parse(text).selectors}
    ours = {metric for metric in vars(metrics).values() if isinstance(metric, Gauge | Counter)}
    unseen = {metric._name + SUFFIXES[type(metric)][0] for metric in ours} - used
    assert not unseen


def test_names_are_prefixed_and_leave_prometheus_its_own_labels() -> None:
    for name, labels in SERIES.items():
        if name.startswith("emotrack_"):
            assert not labels & TARGET, name
    for metric in vars(metrics).values():
        if isinstance(metric, Gauge | Counter | Histogram):
            assert metric._name.startswith("emotrack_")
            assert metric._documentation


def test_what_is_scraped_is_what_the_alerts_look_for() -> None:
    configuration = read_yaml("prometheus.yml")
    jobs = [job["job_name"] for job in configuration["scrape_configs"]]
    assert jobs == ["emotrack-server", "emotrack-worker", "emotrack-scheduler"]
    (pattern,) = re.findall(r'job=~"(.+?)"', next(r["expr"] for r in RULES if "up{" in r["expr"]))
    assert all(re.fullmatch(pattern, job) for job in jobs)
    assert configuration["rule_files"] == ["alerts.yml"]


@pytest.mark.parametrize(
    "text",
    [
        "sum(rate(emotrack_calls_total[5m])",
        "sum by le (rate(emotrack_calls_total[5m]))",
        'emotrack_connections{transport="polling"',
        "emotrack_connections >",
        "median(emotrack_connections)",
        "emotrack_connections emotrack_sockets",
        "rate(emotrack_calls_total[5 minutes])",
        "",
    ],
)
def test_what_is_no_expression_is_found_out(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "emotrack_nonsense",
        'emotrack_connections{kind="polling"}',
        "rate(emotrack_calls_total)",
        "emotrack_connections[5m]",
        "sum by (kind) (emotrack_connections)",
        "rate(emotrack_connections[5m])",
        "emotrack_calls_total",
    ],
)
def test_what_asks_for_nothing_that_exists_is_found_out(text: str) -> None:
    with pytest.raises(AssertionError):
        check(text)

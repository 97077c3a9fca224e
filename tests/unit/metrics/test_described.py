"""Page, dashboard and alerts speak of metrics that exist, and of all that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.domain import DiscoveryStatus, JobState
from shared.errors import JOB_FAILURES, REQUEST_ERRORS
from tests.unit.metrics.shown import Shown, shown

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
RUNBOOK = (ROOT / "docs/runbook.md").read_text("utf-8")
DASHBOARD = (ROOT / "deploy/grafana/dragoman.json").read_text("utf-8")
RULES = (ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8")
OF_PROCESSES = {
    *("process_cpu_seconds_total", "process_resident_memory_bytes", "process_max_fds"),
    *("process_start_time_seconds", "process_open_fds", "process_virtual_memory_bytes"),
}
METRICS = shown()
_NAME = re.compile(r"\b(?:dragoman|process)_[a-z0-9_]+[a-z0-9]\b(?!=)")
_MATCHER = re.compile(r'(\w+)\s*=~?\s*"([^"]*)"')
# What labels may be, for those that alerts ask for by value.
VALUES = {
    "status": {status.value for status in DiscoveryStatus},
    "code": {*REQUEST_ERRORS, *JOB_FAILURES},
    "outcome": {"completed", *JOB_FAILURES},
    "state": {*(state.value for state in JobState), "alive", "late", "suspect"},
}


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every panel, variable and rule."""
    for panel in json.loads(DASHBOARD)["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"]
    for variable in json.loads(DASHBOARD)["templating"]["list"]:
        yield f"variable {variable['name']}", variable.get("definition", "")
    for rule in RULES.split("- alert: ")[1:]:
        name = rule.split("\n")[0]
        yield name, rule.split("expr:")[1].split("\n        labels:")[0].split("\n        for:")[0]


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", RULES)


def test_the_page_has_a_row_for_each_metric_and_no_other() -> None:
    rows = re.findall(r"^\| `dragoman_.*", PAGE, re.M)
    assert rows == [row(metric) for metric in METRICS]
    assert set(_NAME.findall(RUNBOOK)) <= {metric.name for metric in METRICS}
    named = {name for name in _NAME.findall(PAGE) if name.startswith("process_")}
    assert named == OF_PROCESSES


def row(metric: Shown) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |".replace("|  |", "| |")


def test_dashboard_and_alerts_ask_for_series_that_exist() -> None:
    series = {name for metric in METRICS for name in metric.series} | OF_PROCESSES
    for where, expression in expressions():
        unknown = set(_NAME.findall(expression)) - series
        assert not unknown, f"{where}: {unknown}"


def test_the_dashboard_shows_every_metric() -> None:
    told = set(_NAME.findall(DASHBOARD))
    assert {m.name for m in METRICS if not m.series & told} == {
        "dragoman_discovery_check_duration_seconds",
        "dragoman_providers",
        "dragoman_queue_limit",
    }


def test_every_metric_of_a_process_says_whose_it_is() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert metric.type in ("counter", "gauge", "histogram")
        assert metric.name.endswith("_total") == (metric.type == "counter")
        assert not {"owner", "key", "key_id", "model", "job", "instance"} & set(metric.labels)


def test_values_that_alerts_ask_for_are_ones_that_labels_can_have() -> None:
    asked: list[tuple[str, str, str]] = []
    for where, expression in expressions():
        for label, wanted in _MATCHER.findall(expression):
            if label in VALUES and "$" not in wanted:
                asked += [(where, label, value) for value in wanted.split("|")]
    assert len(asked) > 10
    assert [one for one in asked if one[2] not in VALUES[one[1]]] == []


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    sections = re.split(r"^## ", RUNBOOK, flags=re.M)[1:]
    assert [section.split("\n")[0] for section in sections] == alerts()
    for section in sections:
        for part in ("**Means**", "**Look**", "**Do**"):
            assert part in section, section.split("\n")[0]


def test_the_number_of_a_promise_is_the_same_in_rule_and_section() -> None:
    sections = re.split(r"^## ", RUNBOOK, flags=re.M)[1:]
    for rule, section in zip(RULES.split("- alert: ")[1:], sections, strict=True):
        told = re.search(r'promise: "(\d+)"', rule)
        shown_in = re.match(r"\w+\n\((\d+)\) ", section)
        assert (told and told[1]) == (shown_in and shown_in[1]), section.split("\n")[0]
        assert told is None or f"\n| {told[1]} | " in RUNBOOK


@pytest.mark.parametrize("where", alerts())
def test_alerts_on_facts_never_sum_what_every_registry_tells(where: str) -> None:
    (expression,) = [text for name, text in expressions() if name == where]
    facts = {m.name for m in METRICS if "process" not in m.labels}
    for name in facts & set(_NAME.findall(expression)):
        before = expression[: expression.index(name)]
        inner: Any = re.findall(
            r"(sum|max|min|avg|count)\s*(?:by\s*\([^)]*\)\s*)?\(\s*\(?$", before
        )
        by_instance = "sum by (instance) (" in before
        assert by_instance or (inner and inner[-1] in ("max", "min")), f"{where}: {name}"

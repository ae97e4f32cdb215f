"""Alerts and dashboard ask for metrics that exist, and every alert says what to do."""

from __future__ import annotations

import json
import re
from typing import Any

from prometheus_client import REGISTRY

import app.metrics  # noqa: F401 - registers them
from tests.chart.helm import CHART, objects, one


def known() -> set[str]:
    """Every name under which our metrics are exported."""
    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    return {family.name + end for family in REGISTRY.collect() for end in suffixes.get(family.type, [])}


def asked(text: str) -> set[str]:
    return set(re.findall(r"\bceleriac_\w+", text))


def test_the_alerts_ask_for_metrics_that_exist() -> None:
    for rule in rules():
        assert asked(rule["expr"]) <= known(), rule["alert"]


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    dashboard = json.loads(one("ConfigMap", "dashboard", "production")["data"]["celeriac.json"])
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) >= 10
    for expression in expressions:
        assert asked(expression) <= known(), expression


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    for rule in rules():
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["runbook"].endswith(".")
        assert "OURS" not in rule["expr"]


def test_alerts_watch_this_release_only() -> None:
    assert all('namespace="ml"' in rule["expr"] for rule in rules())


def test_prometheus_finds_api_workers_and_beat() -> None:
    assert one("ServiceMonitor", "api", "production")["metadata"]["labels"]["release"] == "prometheus"
    [endpoint] = one("PodMonitor", "worker", "production")["spec"]["podMetricsEndpoints"]
    assert endpoint["path"] == "/metrics"
    assert one("PodMonitor", "beat", "production", beat__enabled=True)["spec"]["podMetricsEndpoints"] == [endpoint]


def test_nothing_of_the_prometheus_operator_unless_asked() -> None:
    assert not [o for o in objects() if o["apiVersion"].startswith("monitoring.coreos.com")]


def test_alerts_file_and_rules_are_one() -> None:
    names = re.findall(r"^(\w+):$", (CHART / "alerts.yaml").read_text(), re.MULTILINE)
    assert sorted(names) == [rule["alert"] for rule in rules()]


def rules() -> list[dict[str, Any]]:
    [group] = one("PrometheusRule", "alerts", "production")["spec"]["groups"]
    return list(group["rules"])

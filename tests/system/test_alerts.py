"""Every alert fires for what it is about: the metrics of a troubled system, evaluated by promtool under the chart's rules."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from app.core.api_keys import generate
from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.chart.test_monitoring import rules
from tests.issuing import Provider, provider
from tests.misbehaving import RAISE, Moody
from tests.running import Running, running_system, wait_until_ready
from tests.tools import need

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Name and labels of a sample -> its value."""
_MINUTES = 90
_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def troubled(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Series, Series]]:
    """What API and worker exported while all was well, and after everything that the alerts are about has happened."""
    limits = {"CELERIAC_MAX_QUEUE": "2", "CELERIAC_INFER_TIMEOUT_S": "0.5"}
    folder = tmp_path_factory.mktemp("troubled")
    with running_system(folder, sample_models, limits) as system, system.process("worker") as (_, worker), guarded(system) as guard:
        wait_until_ready(f"{system.url}/v2/models/moody/ready")
        predict(system, "moody", [0.0, 1.0])
        before = scrape(system.url, worker) | guard.scrape()
        trouble(system)
        guard.trouble()
        yield before, until_all_moved(lambda: scrape(system.url, worker) | guard.scrape())


@dataclass
class Guarded:
    """An API that asks for a key or a token."""

    url: str
    redis_url: str
    key: str
    keys_file: Path
    issuer: Provider

    def scrape(self) -> Series:
        return scrape(self.url, first=10, headers={"authorization": f"Bearer {self.key}"})

    def trouble(self) -> None:
        self.keys_file.write_text("keys: [{id: short}]")
        self.issuer.documents["/keys"] = 500
        assert self.status(self.issuer.token(headers={"kid": "unknown"})) == 401
        with redis.Redis.from_url(self.redis_url) as client:
            limit = client.config_get("maxmemory")["maxmemory"]
            client.config_set("maxmemory", 1)
            assert self.status(generate()[0]) == 401
            until(lambda: value(self.scrape(), "celeriac_audit_entries_lost_total") > 0)
            client.config_set("maxmemory", limit)
        until(lambda: value(self.scrape(), "celeriac_access_file_valid", file="keys") == 0)

    def status(self, credential: str) -> int:
        return httpx.get(f"{self.url}/v1/jobs", headers={"authorization": f"Bearer {credential}"}).status_code


def until(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + _TIMEOUT_S
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.2)  # background tasks of the API do it


@contextlib.contextmanager
def guarded(system: Running) -> Iterator[Guarded]:
    text, id, hash = generate()
    keys_file, issuers_file = system.folder / "keys.yaml", system.folder / "issuers.yaml"
    keys_file.write_text(json.dumps({"keys": [{"id": id, "role": "admin", "hash": f"sha256:{hash.hex()}"}]}))
    with provider() as issuer:
        entry = {"name": "company", "issuer": issuer.url, "audiences": ["celeriac"], "default": {"role": "user"}}
        issuers_file.write_text(json.dumps({"issuers": [entry]}))
        with system.process("api", auth="keys", keys_file=keys_file, issuers_file=issuers_file) as (_, url):
            yield Guarded(url, system.redis_url, text, keys_file, issuer)


def trouble(system: Running) -> None:
    rows = np.zeros((3, 2))
    publish(Repository(system.models), Moody(), "orphan", sample=rows, format="joblib", pool="nobody")
    (system.models / "broken" / "1").mkdir(parents=True)
    (system.models / "broken" / "1" / "model.joblib").write_bytes(b"not a model")
    wait_until_ready(f"{system.url}/v1/models/orphan")
    predict(system, "moody", [RAISE, 0.0])
    # Nobody serves its pool, so its queue fills up.
    assert 429 in [predict(system, "orphan", [0.0, 0.0], wait=0).status_code for _ in range(20)]
    assert httpx.post(f"{system.url}/v2/models/moody/infer", json=infer([4.0, 5.0])).status_code == 504
    with redis.Redis.from_url(system.redis_url) as client:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.9))


def predict(system: Running, model: str, row: list[float], wait: int = 20) -> httpx.Response:
    body = {"model": model, "inputs": [row]}
    return httpx.post(f"{system.url}/v1/jobs?wait={wait}", json=body, timeout=60)


def infer(row: list[float]) -> dict[str, Any]:
    return {"inputs": [{"name": "input", "datatype": "FP64", "shape": [1, 2], "data": row}]}


def scrape(*urls: str, first: int = 0, headers: dict[str, str] | None = None) -> Series:
    found: Series = {}
    for number, url in enumerate(urls, first):
        for family in text_string_to_metric_families(httpx.get(f"{url}/metrics", headers=headers).raise_for_status().text):
            for sample in family.samples:
                labels = sample.labels | {"namespace": "ml", "pod": f"demo-celeriac-{number}"}
                found[sample.name, tuple(sorted(labels.items()))] = sample.value
    return found


def value(series: Series, name: str, **labels: str) -> float:
    return sum(value for (of, given), value in series.items() if of == name and labels.items() <= dict(given).items())


MOVED: dict[str, tuple[dict[str, str], float]] = {
    "celeriac_models": ({"state": "unavailable"}, 0),
    "celeriac_jobs_ended_total": ({"outcome": "prediction_failed"}, 0),
    "celeriac_jobs_refused_total": ({"code": "queue_full"}, 0),
    "celeriac_queue_length": ({"queue": "nobody"}, 0),
    "celeriac_http_requests_total": ({"status": "504"}, 0),
    "celeriac_redis_memory_ratio": ({}, 0.75),
    "celeriac_issuer_fetches_total": ({"outcome": "failed"}, 0),
}
"""What has to be seen of each metric: its labels, and the value that it must exceed."""


def until_all_moved(look: Callable[[], Series]) -> Series:
    end = time.monotonic() + _TIMEOUT_S
    while True:
        found = look()
        still = {
            name: [key for key in found if key[0] == name]
            for name, (labels, least) in MOVED.items()
            if value(found, name, **labels) <= least
        }
        if not still:
            return found
        assert time.monotonic() < end, still
        time.sleep(0.2)  # gauges are refreshed every few seconds


def firing(series: Series, rates: Series, folder: Path, first_minute: int = 0) -> set[str]:
    """The alerts that fire after 90 minutes in which `series` began as it is, in the first minute, and grew by `rates` each minute."""
    groups = {"groups": [{"name": "celeriac", "rules": [{key: rule[key] for key in ("alert", "expr", "for")} for rule in rules()]}]}
    (folder / "rules.json").write_text(json.dumps(groups))
    names = [rule["alert"] for rule in rules()]
    tests = {
        "rule_files": ["rules.json"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {
                        "series": rendered(key),
                        "values": f"{'_ ' * first_minute}{start:.17g}{rates.get(key, 0.0):+.17g}x{_MINUTES - first_minute}",
                    }
                    for key, start in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}})',
                        "eval_time": f"{_MINUTES}m",
                        "exp_samples": [],
                    }
                    for name in names
                ],
            }
        ],
    }
    (folder / "tests.json").write_text(json.dumps(tests))
    promtool = need("promtool", "it evaluates the alerts (scripts/kube-tools builds it)")
    done = subprocess.run([promtool, "test", "rules", "tests.json"], cwd=folder, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    # No alert is expected, so promtool fails and names those that fire.
    fired = {name for name in names if f'alertname=\\"{name}\\"' in output}
    assert fired or done.returncode == 0, output
    return fired


def rendered(key: tuple[str, tuple[tuple[str, str], ...]]) -> str:
    name, labels = key
    return f"{name}{{{', '.join(f'{label}={json.dumps(text)}' for label, text in labels)}}}"


def grown(before: Series, after: Series, prefix: str) -> Series:
    """What the series that begin with `prefix` grew by; those that are new began at 0."""
    return {key: after[key] - before.get(key, 0.0) for key in after if key[0].startswith(prefix) and after[key] != before.get(key, 0.0)}


@pytest.mark.parametrize(
    ("alert", "metric"),
    [
        ("CeleriacAccessFileInvalid", "celeriac_access_file_valid"),
        ("CeleriacAuditIncomplete", "celeriac_audit_entries_lost_total"),
        ("CeleriacIssuerUnavailable", "celeriac_issuer_fetches_total"),
        ("CeleriacJobsFail", "celeriac_jobs_ended_total"),
        ("CeleriacJobsRefused", "celeriac_jobs_refused_total"),
        ("CeleriacModelUnavailable", "celeriac_models"),
        ("CeleriacQueueStands", "celeriac_queue_length"),
        ("CeleriacRedisFills", "celeriac_redis_memory_ratio"),
        ("CeleriacRequestsFail", "celeriac_http_requests_total"),
        ("CeleriacRequestsFailSlowly", "celeriac_http_requests_total"),
    ],
)
def test_an_alert_fires_when_its_metric_moves(troubled: tuple[Series, Series], alert: str, metric: str, tmp_path: Path) -> None:
    before, after = troubled
    rates = grown(before, after, metric) if metric.endswith("_total") else {}
    assert rates or grown(before, after, metric), "the metric has not moved"
    assert alert in firing(after, rates, tmp_path)


def test_a_pool_that_takes_nothing_fires_an_alert_while_another_one_works(troubled: tuple[Series, Series], tmp_path: Path) -> None:
    _, after = troubled
    working = {key: 10.0 for key in after if key[0] == "celeriac_predict_seconds_count"}
    busy = after | {("celeriac_in_flight", (("namespace", "ml"), ("pod", "demo-celeriac-0"), ("pool", "default"))): 1.0}
    assert firing(busy, working, tmp_path) >= {"CeleriacQueueStands"}


def test_no_alert_fires_for_the_queue_of_a_paused_pool(troubled: tuple[Series, Series], tmp_path: Path) -> None:
    _, after = troubled
    paused = {key: 1.0 for key in after if key[0] == "celeriac_pool_paused" and dict(key[1])["pool"] == "nobody"}
    assert paused
    assert "CeleriacQueueStands" not in firing(after | paused, {}, tmp_path)


def test_no_alert_fires_for_what_a_draining_pool_refuses(troubled: tuple[Series, Series], tmp_path: Path) -> None:
    before, _ = troubled
    refused = ("celeriac_jobs_refused_total", (("code", "pool_draining"), ("namespace", "ml"), ("pod", "demo-celeriac-0")))
    assert firing(before | {refused: 1.0}, {refused: 10.0}, tmp_path) == set()


def test_jobs_that_wait_longer_than_a_minute_fire_an_alert(troubled: tuple[Series, Series], tmp_path: Path) -> None:
    _, after = troubled
    names = ("celeriac_queue_seconds_bucket", "celeriac_queue_seconds_count")
    waits = {key: 1.0 for key in after if key[0] in names and dict(key[1]).get("le") in ("300.0", "+Inf", None)}
    assert firing(after, waits, tmp_path) >= {"CeleriacJobsWait", "CeleriacJobsLate", "CeleriacJobsLateSlowly"}


@pytest.mark.parametrize(
    ("late", "fires"), [(0.009, set()), (0.05, {"CeleriacJobsLateSlowly"}), (0.2, {"CeleriacJobsLate", "CeleriacJobsLateSlowly"})]
)
def test_the_share_of_late_jobs_decides_how_urgent_it_is(late: float, fires: set[str], tmp_path: Path) -> None:
    labels = (("model", "wine"), ("namespace", "ml"), ("pod", "demo-celeriac-0"), ("version", "1"))
    rates: Series = {
        ("celeriac_queue_seconds_count", labels): 1000.0,
        ("celeriac_queue_seconds_bucket", (("le", "10.0"), *labels)): 1000.0 * (1 - late),
    }
    assert firing(dict.fromkeys(rates, 0.0), rates, tmp_path) == fires


def test_a_few_failures_are_no_trend(tmp_path: Path) -> None:
    rest = (("namespace", "ml"), ("pod", "demo-celeriac-0"), ("route", "/v1/jobs"))
    requests: Series = {("celeriac_http_requests_total", (("method", "POST"), *rest, ("status", status))): 0.0 for status in ("202", "503")}
    assert firing(requests, dict.fromkeys(requests, 0.03), tmp_path) == set()


def test_probes_that_fail_burn_no_error_budget(tmp_path: Path) -> None:
    labels = (("method", "GET"), ("namespace", "ml"), ("pod", "demo-celeriac-0"), ("route", "/readyz"), ("status", "503"))
    assert firing({("celeriac_http_requests_total", labels): 0.0}, {("celeriac_http_requests_total", labels): 30.0}, tmp_path) == set()


def test_a_pool_at_its_maximum_fires_an_alert(tmp_path: Path) -> None:
    labels = (("horizontalpodautoscaler", "keda-hpa-demo-celeriac-worker"), ("namespace", "ml"))
    names = ("kube_horizontalpodautoscaler_status_current_replicas", "kube_horizontalpodautoscaler_spec_max_replicas")
    assert firing({(name, labels): 5.0 for name in names}, {}, tmp_path) == {"CeleriacPoolAtMaximum"}


def test_the_first_entry_that_the_audit_log_loses_fires_an_alert(tmp_path: Path) -> None:
    labels = (("action", "key.created"), ("namespace", "ml"), ("pod", "demo-celeriac-0"))
    series: Series = {("celeriac_audit_entries_lost_total", labels): 1.0}
    assert firing(series, {}, tmp_path, first_minute=_MINUTES - 5) == {"CeleriacAuditIncomplete"}
    assert firing(series, {}, tmp_path) == set()


def test_columns_that_have_drifted_fire_an_alert(tmp_path: Path) -> None:
    labels = (("model", "wine"), ("namespace", "ml"), ("pod", "demo-celeriac-0"), ("version", "1"))
    assert firing({("celeriac_drifted_columns", labels): 2.0}, {}, tmp_path) == {"CeleriacModelDrifted"}
    assert firing({("celeriac_drifted_columns", labels): 0.0}, {}, tmp_path) == set()


def test_a_rollout_that_is_aborted_fires_an_alert(troubled: tuple[Series, Series], tmp_path: Path) -> None:
    before, _ = troubled
    aborted = {key: 1.0 for key in before if key[0] == "celeriac_rollouts_total" and dict(key[1])["event"] == "aborted"}
    assert aborted, "a series that begins with the first one would not fire"
    assert firing(before, aborted, tmp_path) == {"CeleriacRolloutAborted"}
    assert firing(before, {}, tmp_path) == set()


def test_no_alert_fires_while_all_is_well(troubled: tuple[Series, Series], tmp_path: Path) -> None:
    before, _ = troubled
    counted = [key for key in before if key[0] in ("celeriac_http_requests_total", "celeriac_jobs_ended_total")]
    # While the system started, models were asked before they were ready: those answers are over and do not grow.
    steady = {key: 1.0 for key in counted if not dict(key[1]).get("status", "").startswith("5")}
    assert {key[0] for key in steady} == {"celeriac_http_requests_total", "celeriac_jobs_ended_total"}
    assert firing(before, steady, tmp_path) == set()


def test_every_alert_has_a_test_here() -> None:
    text = Path(__file__).read_text()
    assert [rule["alert"] for rule in rules() if f'"{rule["alert"]}"' not in text] == []

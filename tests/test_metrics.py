"""Metrics that are declared are used."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from app import metrics

APP = Path(metrics.__file__).parent


def test_every_declared_metric_is_touched_by_the_code() -> None:
    code = "\n".join(path.read_text() for path in APP.rglob("*.py") if path != Path(metrics.__file__))
    touched = set(re.findall(r"\bmetrics\.([A-Z][A-Z0-9_]*)\s*\.(?:labels|inc|dec|set|observe|time)\b", code))
    declared = {name for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)}
    assert declared - touched == set()

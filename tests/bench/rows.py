"""The table of goals: each row is a ratio of two figures of one run, ours over another's. Those of a forest are of one that was compiled when it was published."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Final

Samples = dict[str, dict[str, dict[str, list[float]]]]
"""measure -> system -> figure -> a value a round."""


@dataclass(frozen=True, slots=True)
class Row:
    """`at_least` is the goal of a ratio that should be large, `at_most` of one that should be small; neither: only reported.

    Against nothing (""), the figure itself is held against the goal, in `unit`.
    """

    id: str
    what: str
    measure: str
    figure: str
    against: str
    at_least: float | None = None
    at_most: float | None = None
    ours: str = "ours"
    unit: str = "×"

    @property
    def goal(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}{self.unit}"
        return f"≤ {self.at_most:g}{self.unit}" if self.at_most is not None else ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The medians of a row, their ratio, and its spread: the smallest and the largest ratio of one round."""

    row: Row
    ours: float
    other: float
    ratio: float
    least: float
    most: float

    @property
    def reached(self) -> bool | None:
        if self.row.at_least is not None:
            return self.ratio >= self.row.at_least
        return self.ratio <= self.row.at_most if self.row.at_most is not None else None


def find(row: Row, samples: Samples) -> Finding | None:
    """None where one of the two was not measured."""
    taken = samples.get(row.measure, {})
    if not row.against:
        values = taken.get(row.ours, {}).get(row.figure)
        return Finding(row, median(values), 1.0, median(values), min(values), max(values)) if values else None
    ours, other = (taken.get(name, {}).get(row.figure) for name in (row.ours, row.against))
    if not ours or not other:
        return None
    ratios = [mine / theirs for mine, theirs in zip(ours, other, strict=False)]
    return Finding(row, median(ours), median(other), median(ours) / median(other), min(ratios), max(ratios))


ROWS: Final = (
    Row("jobs-lr", "submit and learn the result, 64 clients, LR", "jobs-lr", "rate", "plain", at_least=18),
    Row("jobs-rf", "submit and learn the result, 64 clients, RF", "jobs-rf", "rate", "plain", at_least=25),
    Row("jobs-rf-compiled", "submit and learn the result, 64 clients, RF compiled", "jobs-rf", "rate", "plain", at_least=60, ours="compiled"),
    Row("asked-lr", "submit, then ask for the result, 64 clients, LR", "asked-lr", "rate", "plain"),
    Row("infer-lr-64", "infer through the queue, 64 clients, LR", "infer-lr-64", "rate", "inline ×2", at_least=4),
    Row("infer-lr-64-mlserver", "infer through the queue, 64 clients, LR", "infer-lr-64", "rate", "mlserver", at_least=8),
    Row("infer-lr-64-mosec", "infer through the queue, 64 clients, LR", "infer-lr-64", "rate", "mosec", at_least=1),
    Row("infer-lr-64-bentoml", "infer, 64 clients, LR", "infer-lr-64", "rate", "bentoml"),
    Row("infer-lr-64-litserve", "infer, 64 clients, LR", "infer-lr-64", "rate", "litserve"),
    Row("infer-rf-64", "infer, 64 clients, RF", "infer-rf-64", "rate", "inline"),
    Row("infer-rf-64-two", "infer, 64 clients, RF", "infer-rf-64", "rate", "inline ×2"),
    Row("infer-rf-64-mosec", "infer through the queue, 64 clients, RF", "infer-rf-64", "rate", "mosec", at_least=0.9),
    Row("infer-rf-64-mlserver", "infer, 64 clients, RF", "infer-rf-64", "rate", "mlserver"),
    Row("infer-lr-64-compiled", "infer, 64 clients, LR compiled", "infer-lr-64", "rate", "inline ×2", at_least=8, ours="compiled"),
    Row("infer-lr-64-compiled-mosec", "infer, 64 clients, LR compiled", "infer-lr-64", "rate", "mosec", at_least=2, ours="compiled"),
    Row("infer-rf-64-compiled", "infer, 64 clients, RF compiled", "infer-rf-64", "rate", "inline", at_least=100, ours="compiled"),
    Row("infer-rf-64-compiled-mosec", "infer, 64 clients, RF compiled", "infer-rf-64", "rate", "mosec", at_least=4, ours="compiled"),
    Row("infer-lr-16", "infer, 16 clients, LR", "infer-lr-16", "rate", "inline ×2", at_least=1),
    Row("infer-rf-16", "infer, 16 clients, RF", "infer-rf-16", "rate", "inline ×2"),
    Row("drain-lr", "drain of a full queue, LR", "drain-lr", "rate", "plain", at_least=40),
    Row("drain-rf", "drain of a full queue, RF", "drain-rf", "rate", "plain", at_least=50),
    Row("drain-rf-compiled", "drain of a full queue, RF compiled", "drain-rf", "rate", "plain", at_least=120, ours="compiled"),
    Row("one-lr", "one caller, p50 of infer against .delay().get(), LR", "one-lr", "p50_ms", "plain", at_most=0.45),
    Row("one-lr-inline", "one caller, p50 of infer, LR", "one-lr", "p50_ms", "inline"),
    Row("one-rf-plain", "one caller, p50 of infer against .delay().get(), RF", "one-rf", "p50_ms", "plain"),
    Row("one-rf", "one caller, p50 of infer, RF compiled", "one-rf", "p50_ms", "inline", at_most=0.05, ours="compiled"),
    Row("one-lr-compiled", "one caller, p50 of infer, LR compiled", "one-lr", "p50_ms", "inline", at_most=0.4, ours="compiled"),
    Row("submit", "submit only, durable 202", "drain-lr", "submit_rate", "plain", at_least=12),
    Row("p99-lr", "p99 of infer, 64 clients, LR", "infer-lr-64", "p99_ms", "inline ×2", at_most=1.2),
    Row("p99-lr-mlserver", "p99 of infer, 64 clients, LR", "infer-lr-64", "p99_ms", "mlserver", at_most=0.25),
    Row("keyed-infer", "CPU of the API for an infer with an API key, 64 clients", "keyed-infer", "cpu_us", "ours", at_most=1.1, ours="keyed"),
    Row("flood", "p95 of a job beside the flood of another owner, RF", "flood", "p95_ms", "keyed", at_most=2, ours="flooded"),
    Row("waiting-submit", "CPU of a submit behind a long queue", "waiting-submit", "cpu_us", "empty", at_most=1.1, ours="waiting"),
    Row("waiting-submit-one", "p50 of a submit behind a long queue, one caller", "waiting-submit", "one_ms", "empty", at_most=1.1, ours="waiting"),
    Row("waiting-infer", "CPU of an infer beside a long queue", "waiting-infer", "cpu_us", "empty", at_most=1.1, ours="waiting"),
    Row("waiting-infer-one", "p50 of an infer beside a long queue, one caller", "waiting-infer", "one_ms", "empty", at_most=1.1, ours="waiting"),
    Row("open-200", "p99 at 200 requests a second, LR", "open-200", "p99_ms", "inline ×2"),
    Row("open-1000", "p99 at 1,000 requests a second, LR", "open-1000", "p99_ms", "inline ×2"),
    Row("cpu-lr", "CPU of 1,000 predictions, 64 clients, LR", "infer-lr-64", "cpu_s_per_1000", "inline ×2"),
    Row("cpu-lr-mosec", "CPU of 1,000 predictions through the queue, 64 clients, LR", "infer-lr-64", "cpu_s_per_1000", "mosec", at_most=1.5),
    Row("cpu-rf", "CPU of 1,000 predictions, 64 clients, RF", "infer-rf-64", "cpu_s_per_1000", "inline ×2"),
    Row("image-1", "one image (602 kB) a request, one caller, p50", "image-1", "p50_ms", "inline", at_most=1.8),
    Row("image-8", "one image (602 kB) a request, 8 callers, p50", "image-8", "p50_ms", "inline", at_most=1.8),
    Row("image-8-rate", "one image (602 kB) a request, 8 callers", "image-8", "rate", "inline", at_least=0.8),
    Row("ten-mb-1", "10 MB a request, one caller", "ten-mb-1", "rate", "inline", at_least=0.6),
    Row("ten-mb-8", "10 MB a request, 8 callers", "ten-mb-8", "rate", "inline", at_least=0.6),
    Row("idle", "commands to Redis of an idle API, worker and Flower", "idle", "commands", "", at_most=8, unit="/s"),
    Row("fleet", "a core for Redis beside 1,000 idle workers", "fleet", "percent", "", at_most=5, unit=" %"),
    Row("memory", "memory under load", "infer-lr-64", "memory", "inline ×2"),
)  # fmt: skip

from __future__ import annotations

import time

import pytest

from app.broker.batcher.traces import Traces
from app.core.models import Manifest
from app.core.spans import Attribute, Span
from app.core.traces import TraceContext

MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "", (), ())


def context(*, sampled: bool) -> TraceContext:
    return TraceContext("a" * 32, "b" * 16, sampled=sampled, slow_s=10.0, received_at=time.time())


def test_a_prediction_of_the_direct_lane_ran_and_waited_in_no_queue() -> None:
    spans: list[Span] = []
    Traces(spans.extend).direct(context(sampled=True), "p-1", MANIFEST, "team-a", 3, time.time())
    assert [span.name.partition(" ")[0] for span in spans] == ["job", "submit", "run"]
    assert spans[0].attributes[Attribute.LANE] == "direct"


@pytest.mark.parametrize(("error", "exported"), [("", False), ("prediction_failed", True)])
def test_of_predictions_that_are_not_sampled_only_failed_ones_are_exported(error: str, exported: bool) -> None:
    spans: list[Span] = []
    Traces(spans.extend).direct(context(sampled=False), "p-1", MANIFEST, "team-a", 3, time.time(), error)
    assert bool(spans) is exported

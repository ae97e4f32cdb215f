from __future__ import annotations

import pytest

from app.core.errors import InvalidInput
from app.core.traces import Sampling
from app.settings import Settings
from app.tracing.environment import sampling

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


def test_nothing_is_exported_without_an_endpoint() -> None:
    assert sampling(Settings(), {}) is None


def test_nothing_is_exported_if_the_sdk_is_disabled() -> None:
    assert sampling(Settings(), ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"}) is None


def test_an_endpoint_for_traces_alone_is_enough() -> None:
    assert sampling(Settings(), {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}) is not None


@pytest.mark.parametrize(
    ("sampler", "argument", "expected"),
    [
        ("", "", Sampling(0.01, True, 2.0)),
        ("parentbased_traceidratio", "0.5", Sampling(0.5, True, 2.0)),
        ("traceidratio", "0.5", Sampling(0.5, False, 2.0)),
        ("always_on", "", Sampling(1.0, False, 2.0)),
        ("parentbased_always_off", "0.5", Sampling(0.0, True, 2.0)),
    ],
)
def test_the_sampler_is_the_one_of_the_standard_variables(sampler: str, argument: str, expected: Sampling) -> None:
    variables = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    assert sampling(Settings(trace_slow_s=2.0), ENDPOINT | variables) == expected


@pytest.mark.parametrize(
    "variables", [{"OTEL_TRACES_SAMPLER": "jaeger_remote"}, {"OTEL_TRACES_SAMPLER_ARG": "2"}, {"OTEL_TRACES_SAMPLER_ARG": "half"}]
)
def test_a_variable_that_is_not_valid_is_named(variables: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(variables))):
        sampling(Settings(), ENDPOINT | variables)

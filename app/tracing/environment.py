"""OpenTelemetry's own environment variables, as far as its SDK does not read them itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from app.core.errors import InvalidInput
from app.core.traces import Sampling
from app.settings import Settings

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SAMPLER: Final = "OTEL_TRACES_SAMPLER"
_RATIO: Final = "OTEL_TRACES_SAMPLER_ARG"
_DEFAULT: Final = "parentbased_traceidratio"
_DEFAULT_RATIO: Final = 0.01
_SAMPLERS: Final[Mapping[str, tuple[bool, float | None]]] = {
    "always_on": (False, 1.0),
    "always_off": (False, 0.0),
    "traceidratio": (False, None),
    "parentbased_always_on": (True, 1.0),
    "parentbased_always_off": (True, 0.0),
    _DEFAULT: (True, None),
}
"""Whether the caller's flag decides, and the ratio; None if `OTEL_TRACES_SAMPLER_ARG` gives it."""


def sampling(settings: Settings, environment: Mapping[str, str] = os.environ) -> Sampling | None:
    """Return which traces are exported, or None if no endpoint is set or the SDK is disabled.

    Raises:
        InvalidInput: A variable has an invalid value. The message names it.
    """
    if not any(environment.get(name) for name in ENDPOINTS) or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    name = environment.get(_SAMPLER) or _DEFAULT
    if name not in _SAMPLERS:
        raise InvalidInput(f"{_SAMPLER} is {name!r}. Use one of: {', '.join(_SAMPLERS)}.")
    follows_caller, fixed = _SAMPLERS[name]
    return Sampling(_ratio(environment) if fixed is None else fixed, follows_caller, settings.trace_slow_s)


def _ratio(environment: Mapping[str, str]) -> float:
    text = environment.get(_RATIO) or str(_DEFAULT_RATIO)
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise InvalidInput(f"{_RATIO} is {text!r}. Use a number between 0 and 1, for example 0.01.")
    return ratio

"""Rate limits in responses: the fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers, and members of a problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from app.core.rate_limits import REQUESTS, RateLimit, Usage


def headers(usages: Sequence[Usage]) -> dict[str, str]:
    """Return the fields that describe limits, and what is left of them. None for no limit."""
    if not usages:
        return {}
    return {
        "ratelimit-policy": ", ".join(_policy(usage.limit) for usage in usages),
        "ratelimit": ", ".join(f'"{usage.limit.policy}";r={usage.remaining};t={math.ceil(usage.reset_s)}' for usage in usages),
    }


def members(usage: Usage) -> dict[str, Any]:
    """Return the members of the problem about a request that a limit refuses."""
    return {
        "policy": usage.limit.policy,
        usage.limit.of: usage.subject,
        "limit": usage.limit.quota,
        "window_s": usage.limit.window_s,
        "used": usage.limit.quota - usage.remaining,
        "reset_s": usage.reset_s,
    }


def _policy(limit: RateLimit) -> str:
    unit = "" if limit.unit == REQUESTS else f';qu="{limit.unit}"'
    return f'"{limit.policy}";q={limit.quota}{unit};w={limit.window_s}'

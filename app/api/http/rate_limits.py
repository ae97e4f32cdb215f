"""Rate limits in responses: the fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers, and members of a problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from app.core.quotas import Quota
from app.core.rate_limits import REQUESTS, RateLimit, Usage


def headers(usages: Sequence[Usage]) -> dict[str, str]:
    """Return the fields that describe limits, and what is left of them. None for no limit."""
    if not usages:
        return {}
    return {
        "ratelimit-policy": ", ".join(_policy(usage.limit) for usage in usages),
        "ratelimit": ", ".join(map(_left, usages)),
    }


def members(usage: Usage) -> dict[str, Any]:
    """Return the members of the problem about a request that a limit refuses."""
    times = {"window_s": usage.limit.window_s, "reset_s": usage.reset_s} if usage.limit.window_s else {}
    return {
        "policy": usage.limit.policy,
        usage.limit.of: usage.subject,
        "limit": usage.limit.quota,
        "used": usage.limit.quota - usage.remaining,
        **times,
    }


def _policy(limit: RateLimit | Quota) -> str:
    unit = "" if limit.unit == REQUESTS else f';qu="{limit.unit}"'
    window = f";w={limit.window_s}" if limit.window_s else ""
    return f'"{limit.policy}";q={limit.quota}{unit}{window}'


def _left(usage: Usage) -> str:
    time = f";t={math.ceil(usage.reset_s)}" if usage.limit.window_s else ""
    return f'"{usage.limit.policy}";r={max(0, usage.remaining)}{time}'

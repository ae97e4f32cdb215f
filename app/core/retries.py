"""When a failed attempt is tried again."""

from __future__ import annotations

from app.core.models import RetryPolicy


def delay(policy: RetryPolicy, attempt: int, jitter: float) -> float | None:
    """Seconds until the attempt after `attempt`, or None after the last attempt. `jitter` is uniform in [0, 1).

    Exponential with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/): jobs that
    failed together do not come back together.
    """
    if attempt >= policy.max_attempts:
        return None
    return float(jitter * min(policy.max_backoff_s, policy.backoff_s * 2 ** (attempt - 1)))

"""Predictions of shadows: enqueued when nothing else waits, and what their comparisons have shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import redis
import redis.asyncio

from app.core.shadows import Comparison, ShadowReport
from app.store import keys, scripts
from app.store.reading import decodable

_KEPT_S: Final = 7 * 24 * 3600
_MAX_FIELDS: Final = 105
"""Five figures, and a hundred pairs of answers."""


def enqueue(client: redis.Redis, queues: Sequence[str], message: bytes) -> bool:
    """Enqueue a message in the last of the queues, unless something waits in any of them. Return whether it was enqueued."""
    return bool(scripts.run(client, scripts.Call("enqueue_shadow", tuple(keys.list_of(queue) for queue in queues), (message,))))


def record(client: redis.Redis, place: tuple[str, str, str], comparison: Comparison | None) -> None:
    """Add a comparison, or None if the shadow raised. `place` is the model, the version and the shadow."""
    shown = comparison or Comparison()
    pairs: list[str | int] = []
    for (ours, theirs), number in shown.answers.items():
        pairs += (f"answers:{ours}\x1f{theirs}", number)
    figures = (int(comparison is None), shown.rows, shown.agreed, repr(shown.largest))
    scripts.run(client, scripts.Call("record_shadow", (), ("/".join(place), _KEPT_S, _MAX_FIELDS, *figures, *pairs)))


async def read(client: redis.asyncio.Redis, place: tuple[str, str, str]) -> ShadowReport:
    """Return what the comparisons have shown."""
    stored: Any = await client.hgetall(keys.SHADOW_REPORTS + "/".join(place))
    return ShadowReport.of({name: stored[name.encode()].decode(errors="replace") for name in decodable(stored)})

"""A system without work asks Redis for little."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from app.store import keys
from tests.running import running_system

pytestmark = pytest.mark.slow

TURNS: Final = 15
"""Of the worker's loop, each of which waits for a message for two seconds."""
MOST: Final = 10 * 2 * TURNS
"""10 commands a second: a little more than there are."""


def test_a_system_without_work_sends_few_commands(sample_models: Path, tmp_path: Path) -> None:
    with (
        running_system(tmp_path, sample_models, {"CELERIAC_SCAN_INTERVAL_S": "2"}) as system,
        system.process("worker"),
        redis.Redis.from_url(system.redis_url) as store,
    ):
        # What the start of the worker caused is done.
        observe(store, turns=2)
        sent = observe(store, TURNS)
        assert sent.total() <= MOST, sent.most_common(30)


def observe(store: redis.Redis, turns: int) -> Counter[str]:
    """The commands that Redis executes during some turns of the worker's loop, with those inside scripts."""
    sent = Counter[str]()
    monitoring: Any = store.monitor  # redis-py has no types for it
    with monitoring() as monitor:
        while sent[f"BRPOP {keys.PREFIX}default.priority"] < turns:
            received: Any = monitor.next_command()
            sent[" ".join(received["command"].split(" ")[:2])] += 1
    return sent

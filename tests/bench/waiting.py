"""Ours beside a long queue, and beside an empty one: what a request costs must be the same.

The queue is that of the default pool, whose worker is stopped. Predictions are asked of a pool of their own, which has one.
"""

from __future__ import annotations

import time
from pathlib import Path

from app.store import keys
from tests.bench import load
from tests.bench.artefacts import APART
from tests.bench.filling import multiply
from tests.bench.load import Exchange
from tests.bench.processes import Process, answers, until
from tests.bench.systems import Ours


class Empty(Ours):
    """An empty queue."""

    name = "empty"

    @property
    def models(self) -> Path:
        return self.artefacts.apart

    def launch(self) -> None:
        super().launch()
        self.stop_worker()
        self.serve("worker", POOL=APART)
        self.wait_for_worker()
        self.processes["api"].wait(answers(f"{self.url}/v2/models/{APART}/ready"))

    def serve(self, process: str, **more: str) -> Process:
        return super().serve(process, MAX_QUEUE="10000000", **more)

    def predict(self, model: str) -> Exchange:
        """`model` is the same in both pools."""
        return self.exchange(f"/v2/models/{APART}/infer", self.tensors(), model, r'"data":%[(%d+)%]')

    def prepare(self) -> None:
        """Before it is measured: no job is there. What the workers reported about themselves stays."""
        kept = {key: self.redis.dump(key) for key in (keys.MANIFESTS, keys.WORKERS)}
        with self.redis.pipeline() as pipe:
            pipe.flushdb()
            for key, value in kept.items():
                if value is not None:
                    pipe.restore(key, 0, value)
            pipe.execute()


class Waiting(Empty):
    """About `jobs` jobs in the queue."""

    name = "waiting"
    jobs = 1_000_000

    def launch(self) -> None:
        super().launch()
        # A bound, should a job come to weigh more than now: about 1.5 kB each with all that belongs to it.
        self.redis.config_set("maxmemory", "6gb")
        # Copies would make Redis write its log anew, all the while that is measured.
        self.redis.config_set("auto-aof-rewrite-percentage", 0)
        few = load.closed(self.submit("lr"), 64, 2)
        # The last ones are still on their way when the load ends.
        until(self._settled, "no job comes any more")
        multiply(self.redis, few.count, self.jobs)

    def prepare(self) -> None:
        """They are there."""

    def _settled(self) -> bool:
        before = self.left()
        time.sleep(0.2)
        return self.left() == before

"""Ours with API keys while one owner floods the queue, to see how long another one waits."""

from __future__ import annotations

import time
from statistics import quantiles

import httpx

from app.broker import names
from app.store import keys
from tests.bench import load
from tests.bench.keyed import Keyed
from tests.bench.load import Exchange
from tests.bench.processes import Trouble
from tests.bench.systems import Ours

_EVERY_S = 0.1
_LEAST = 20
_ENOUGH = 60
"""Jobs, of which the 95th percentile leaves three out."""


class Flooded(Keyed):
    """Its queue holds `jobs` jobs of one owner when the worker starts."""

    name = "flooded"
    jobs = 50_000

    def launch(self) -> None:
        super().launch()
        made = httpx.post(f"{self.url}/v1/keys", json={"name": "loud", "owner": "loud", "role": "user"}, headers=self.headers)
        self._loud = {"Authorization": f"Bearer {made.raise_for_status().json()['key']}"}

    def fill(self, model: str) -> None:
        self.stop_worker()
        sent, exchange = 0, self.submit(model)
        flood = Exchange(
            exchange.url, exchange.path, exchange.bodies, exchange.labels, exchange.pick, headers={**exchange.headers, **self._loud}
        )
        while sent < self.jobs:
            sent += load.closed(flood, 64, 2).count
        self.start_worker()

    def left(self) -> int:
        return super().left() + int(self.redis.hlen(keys.backlog(names.interactive("default"))))


def waits(system: Ours, model: str, seconds: float) -> list[float]:
    """How long each of the jobs of one caller took, in milliseconds. It ends with the flood, and raises Trouble if that was short."""
    exchange = system.submit_and_wait(model)
    found: list[float] = []
    end = time.monotonic() + seconds
    with httpx.Client(base_url=system.url, headers=dict(exchange.headers), timeout=60) as client:
        while time.monotonic() < end or len(found) < _LEAST:
            if isinstance(system, Flooded) and not system.left():
                if len(found) >= _ENOUGH:
                    break
                raise Trouble(f"the flood was over after {len(found)} jobs of the other caller: let it hold more")
            began = time.monotonic()
            client.post(exchange.path, content=exchange.bodies[len(found) % len(exchange.bodies)]).raise_for_status()
            found.append((time.monotonic() - began) * 1000)
            time.sleep(_EVERY_S)
    return found


def p95(found: list[float]) -> float:
    return quantiles(found, n=20)[-1]

"""Are the answers right? A sample of rows is asked by several callers at once and held against the model in this process."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.bench.load import Exchange
from tests.bench.processes import Trouble
from tests.bench.systems import Queued, System

_CALLERS: Final = 16


def check(system: System) -> None:
    """Raises Trouble that says which answer is wrong."""
    for model in system.artefacts.labels:
        ways: list[tuple[Exchange, Callable[[Exchange, str | bytes], str]]] = []
        if isinstance(system, Queued):
            ways.append((system.submit(model), _job))
        with contextlib.suppress(NotImplementedError):
            ways.append((system.predict(model), single))
        for exchange, ask in ways:
            with ThreadPoolExecutor(_CALLERS) as callers:
                answers = list(callers.map(lambda body, exchange=exchange, ask=ask: ask(exchange, body), exchange.bodies))
            for at, (found, wanted) in enumerate(zip(answers, exchange.labels, strict=False)):
                if found != str(wanted):
                    raise Trouble(f"{system.name} answers {found} to row {at} of {model}, which is {wanted}")


def single(exchange: Exchange, body: str | bytes) -> str:
    """What is answered to `body`."""
    return _picked(exchange, _ask(exchange.url + exchange.path, exchange, body))


def _job(exchange: Exchange, body: str | bytes) -> str:
    id = json.loads(_ask(exchange.url + exchange.path, exchange, body))["id"]
    until = time.monotonic() + 30
    while time.monotonic() < until:
        time.sleep(exchange.pause_ms / 1000)
        found = _ask(f"{exchange.url}{exchange.address}{id}{exchange.query}", exchange)
        if exchange.ended in found:
            return _picked(exchange, found)
    return "nothing within 30 s"


def _ask(url: str, exchange: Exchange, body: str | bytes | None = None) -> str:
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data, dict(exchange.headers))
    with urllib.request.urlopen(request, timeout=40) as answer:
        return str(answer.read().decode())


def _picked(exchange: Exchange, text: str) -> str:
    # The few patterns of Lua that are used differ from Python's in the escape alone.
    found = re.search(exchange.pick.replace("%", "\\"), text)
    return found[1] if found else text[:200]

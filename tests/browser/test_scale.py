"""Ten thousand jobs and a hundred models, and what an open page asks of the API: bounds that hold on any machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import redis
from playwright.sync_api import Request, expect

from app.core.jobs import new_id
from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.store import keys
from app.store.records import encode_spec
from tests.browser.conftest import Console
from tests.browser.test_frame import SCREENS
from tests.misbehaving import Moody
from tests.running import Running, wait_until_ready

pytestmark = pytest.mark.browser

JOBS, MODELS = 10_000, 100
MAX_NODES = 3_000
MINUTE_S = 60
MAX_PER_SECOND = 2


@pytest.fixture
def many_jobs(system: Running) -> Iterator[None]:
    """Records as workers leave them, each older than the one before; one in a thousand has failed. A page looks at a thousand."""
    client, now = redis.Redis.from_url(system.redis_url), time.time()
    jobs = [(new_id(now - at), now - at) for at in range(JOBS)]
    with client.pipeline(transaction=False) as pipe:
        for at, (id, created_at) in enumerate(jobs):
            fields: dict[Any, Any] = {
                "state": "failed" if at % 1000 == 99 else "succeeded", "attempt": 1, "spec": encode_spec("many", "1", ("predict",), 1, ""),
                "created_at": created_at, "expires_at": now + 1e6, "position": at, "queue": "default", "delivery": "", "revision": 1,
                "started_at": created_at + 0.1, "finished_at": created_at + 0.2,
            }  # fmt: skip
            pipe.hset(keys.job(id), mapping=fields)
            pipe.zadd(keys.JOBS, {id: created_at})
        pipe.execute()
        yield
        for id, _ in jobs:
            pipe.delete(keys.job(id))
            pipe.zrem(keys.JOBS, id)
        pipe.execute()
    client.close()


@pytest.fixture
def many_models(system: Running) -> Iterator[None]:
    """Versions of a pool that has no workers."""
    repository = Repository(system.models)
    names = [f"many-{number:03}" for number in range(MODELS)]
    publish(repository, Moody(), names[0], sample=np.zeros((3, 2)), format="joblib", pool="nobody")
    for name in names[1:]:
        shutil.copytree(system.models / names[0], system.models / name)
        for manifest in (system.models / name).rglob("*.json"):
            manifest.write_text(manifest.read_text().replace(names[0], name))
    wait_until_ready(f"{system.url}/v1/models/{names[-1]}")
    yield
    for name in names:
        shutil.rmtree(system.models / name)


def nodes(console: Console) -> int:
    return int(console.page.evaluate("document.querySelectorAll('*').length"))


@pytest.mark.usefixtures("many_jobs")
def test_ten_thousand_jobs_are_pages_of_one_size(console: Console) -> None:
    rows = console.page.locator("tbody tr")
    console.open("jobs?model=many")
    expect(rows).to_have_count(50)
    first = nodes(console)
    for _ in range(3):
        before = rows.first.inner_text()
        console.press("Older")
        expect(rows.first).not_to_contain_text(before.split()[2])
        expect(rows).to_have_count(50)
    assert nodes(console) <= first + 50
    assert first <= MAX_NODES


@pytest.mark.usefixtures("many_jobs")
def test_a_rare_filter_asks_once_and_finds_its_jobs(console: Console) -> None:
    sent = list[str]()
    console.page.on("request", lambda request: sent.append(request.url) if "/v1/jobs?" in request.url else None)
    console.open("jobs?model=many")
    console.press("Pause updates")
    sent.clear()
    console.press("failed")
    expect(console.page.locator("tbody tr").first).to_contain_text("failed")
    assert len(sent) == 1


@pytest.mark.usefixtures("many_models")
def test_a_hundred_models_are_one_request_and_a_bounded_page(console: Console) -> None:
    sent = list[str]()
    console.page.on("request", lambda request: sent.append(request.url) if "/v1/models" in request.url else None)
    console.page.clock.install()
    console.open("models")
    expect(console.page.get_by_role("row").filter(has_text="many-")).to_have_count(MODELS)
    assert len(sent) == 1
    assert nodes(console) <= MAX_NODES
    console.page.locator("[data-search]").fill("many-042")
    expect(console.page.locator("tbody tr")).to_have_count(1)
    console.open("overview")
    expect(console.page.get_by_role("region", name="Pool default")).to_be_visible()
    assert nodes(console) <= MAX_NODES


def test_an_open_page_sends_at_most_two_requests_a_second(console: Console) -> None:
    """The clock of the page is set forward, so that a minute takes as long as its requests."""
    open_requests, sent = set[Request](), 0

    def begin(request: Request) -> None:
        nonlocal sent
        sent += 1
        open_requests.add(request)

    console.page.on("request", begin)
    console.page.on("requestfinished", lambda request: open_requests.discard(request))
    console.page.on("requestfailed", lambda request: open_requests.discard(request))
    failed, running = console.submit([1, 0])["id"], console.submit([4, 600], wait=0)["id"]
    console.page.clock.install()
    costs = {}
    for screen in (*SCREENS, f"jobs/{running}", f"dead-letters/{failed}"):
        console.open(screen)
        expect(console.page.get_by_text("Loading…")).to_have_count(0)
        sent = 0
        for _ in range(MINUTE_S):
            console.page.clock.run_for(1000)
            # What the page asks for must be answered before it can ask again.
            while open_requests:
                console.page.wait_for_timeout(5)
        costs[screen] = sent
    console.api.delete(f"/v1/jobs/{running}")
    assert max(costs.values()) <= MAX_PER_SECOND * MINUTE_S, costs
    assert min(costs[screen] for screen in ("overview", "jobs", f"jobs/{running}")) > 0, costs

"""More than there is room for: refused at once, with the limit and when to come again, and what was accepted stays."""

from __future__ import annotations

import time
from typing import Any

import httpx
import redis

from app.store import keys
from tests.running import Running

JOB = {"model": "orphan", "inputs": [[0, 0]]}
TENSOR = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [0, 0]}


def refused(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
    assert int(answer.headers["retry-after"]) >= 1
    body: dict[str, Any] = answer.json()
    return str(body.get("detail") or body["error"])


def test_a_full_queue_takes_nothing_and_keeps_what_it_took(running: Running) -> None:
    # Nobody serves the pool of this model: what is accepted waits, that of other tests too.
    with redis.Redis.from_url(running.redis_url) as store:
        most = store.llen(keys.list_of("nobody")) + 2
    with running.process("api", max_queue=most) as (_, url), httpx.Client(base_url=url, timeout=30) as http:
        answers = [http.post("/v1/jobs", json=JOB)]
        while answers[-1].status_code == 202:
            answers.append(http.post("/v1/jobs", json=JOB))
        assert f"It holds {most} of {most} deliveries" in refused(answers.pop())
        assert f"It holds {most} of {most} deliveries" in refused(
            http.post("/v2/models/orphan/infer", json={"inputs": [TENSOR]}, headers={"prefer": "respond-async"})
        )
        accepted = [answer.json()["id"] for answer in answers]
        assert len(accepted) == 2
        assert [http.get(f"/v1/jobs/{id}").json()["state"] for id in accepted] == ["queued"] * len(accepted)
        for id in accepted:
            assert http.delete(f"/v1/jobs/{id}").json()["state"] == "cancelled"


def test_a_redis_that_is_nearly_full_takes_nothing(running: Running) -> None:
    with redis.Redis.from_url(running.redis_url) as store:
        store.config_set("maxmemory", 2 * int(store.info("memory")["used_memory"]))
        try:
            with running.process("api", max_memory_ratio=0.3) as (_, url), httpx.Client(base_url=url, timeout=30) as http:
                answer = http.post("/v1/jobs", json=JOB)
                while answer.status_code == 202:
                    time.sleep(0.05)  # it looks at the memory now and then
                    answer = http.post("/v1/jobs", json=JOB)
                assert "above the limit of 30%" in refused(answer)
                assert "above the limit of 30%" in refused(http.post("/v2/models/orphan/infer", json={"inputs": [TENSOR]}))
        finally:
            store.config_set("maxmemory", 0)

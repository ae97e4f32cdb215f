"""/v1/jobs against the running system."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import redis

from app.registry.repository import Repository
from app.store import keys
from tests.misbehaving import RAISE, SLEEP, WELL, WRONG_SHAPE
from tests.running import Running


def asked(model: str = "moody", *rows: Any, **fields: Any) -> dict[str, Any]:
    return {"model": model, "inputs": list(rows) or [[0, 1]], **fields}


@pytest.mark.parametrize("name", ["breast-cancer", "diabetes", "digits", "wine"])
def test_a_sample_model_answers_its_examples(client: httpx.Client, running: Running, name: str) -> None:
    examples = Repository(running.models).examples(name, "1")
    job = client.post("/v1/jobs?wait=20", json=asked(name, *(one["input"] for one in examples))).json()
    assert job["state"] == "succeeded"
    assert len(job["result"]) == len(examples)


def test_probabilities_come_with_the_classes_of_their_columns(client: httpx.Client, running: Running) -> None:  # M10
    row = Repository(running.models).examples("breast-cancer", "1")[0]["input"]
    job = client.post("/v1/jobs?wait=20", json=asked("breast-cancer", row, method="predict_proba")).json()
    assert (job["classes"], len(job["result"][0])) == ([0, 1], 2)
    assert client.get(f"/v1/jobs/{job['id']}").json()["classes"] == [0, 1]
    assert "classes" not in client.post("/v1/jobs?wait=20", json=asked("breast-cancer", row)).json()


def test_a_job_is_accepted_at_once_and_reports_where_it_is(client: httpx.Client) -> None:
    response = client.post("/v1/jobs", json=asked())
    assert response.status_code == 202
    job = client.get(f"{response.headers['location']}?wait=20").json()
    assert (job["id"], job["state"], job["result"]) == (response.json()["id"], "succeeded", [1.0])


def test_prefer_wait_holds_the_answer(client: httpx.Client) -> None:
    response = client.post("/v1/jobs", json=asked(), headers={"prefer": "wait=20"})
    assert (response.status_code, response.headers["preference-applied"]) == (200, "wait=20")


@pytest.mark.parametrize("mood", [WELL, RAISE])
def test_a_waiting_caller_receives_what_the_record_says(client: httpx.Client, mood: int) -> None:
    reported = client.post("/v1/jobs?wait=20", json={"model": "moody", "inputs": [[mood, 3]]}).json()
    assert reported == client.get(f"/v1/jobs/{reported['id']}").json()


def test_a_wait_that_is_over_answers_with_the_job_as_it_is(client: httpx.Client) -> None:
    response = client.post("/v1/jobs?wait=0.1", json=asked("moody", [SLEEP, 1]))
    assert response.status_code == 202
    assert client.get(f"{response.headers['location']}?wait=20").json()["state"] == "succeeded"


def test_a_chosen_id_names_the_job(client: httpx.Client) -> None:
    first = client.put("/v1/jobs/my-own-name?wait=20", json=asked())
    again = client.put("/v1/jobs/my-own-name?wait=20", json=asked())
    other = client.put("/v1/jobs/my-own-name", json=asked("moody", [0, 2]))
    assert (first.json()["id"], again.json(), other.status_code) == ("my-own-name", first.json(), 409)


@pytest.mark.parametrize(("mood", "code"), [(RAISE, "prediction_failed"), (WRONG_SHAPE, "invalid_output")])
def test_a_prediction_that_fails_says_why_and_the_worker_lives_on(client: httpx.Client, mood: int, code: str) -> None:
    job = client.post("/v1/jobs?wait=20", json=asked("moody", [mood, 0])).json()
    assert (job["state"], job["error"]["code"]) == ("failed", code)
    assert client.post("/v1/jobs?wait=20", json=asked()).json()["state"] == "succeeded"


def test_a_caller_who_waits_for_a_job_that_expires_in_the_queue_is_answered_then(client: httpx.Client) -> None:
    own = client.post("/v1/jobs?wait=60", json=asked("orphan", deadline_s=0.5), timeout=30)
    assert own.json()["state"] == "expired"
    location = client.post("/v1/jobs", json=asked("orphan", deadline_s=0.5)).headers["location"]
    assert '"state":"expired"' in client.get(f"{location}/events", timeout=30).text


def test_a_queued_job_is_cancelled(client: httpx.Client) -> None:
    job = client.post("/v1/jobs", json=asked("orphan")).json()
    assert client.delete(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"


def test_a_queued_job_reports_its_place(client: httpx.Client) -> None:
    first, second = (client.post("/v1/jobs", json=asked("orphan")).json()["id"] for _ in range(2))
    places = [client.get(f"/v1/jobs/{id}").json()["queue_position"] for id in (first, second)]
    assert places[1] == places[0] + 1


def test_pages_hold_every_job_once(client: httpx.Client) -> None:
    submitted = {client.post("/v1/jobs", json=asked("orphan")).json()["id"] for _ in range(5)}
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get("/v1/jobs", params={"limit": 2, "model": "orphan", **({"cursor": cursor} if cursor else {})}).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next"]
    assert submitted <= set(seen)
    assert len(seen) == len(set(seen))


def test_the_list_is_filtered_by_state(client: httpx.Client) -> None:
    client.post("/v1/jobs", json=asked("orphan"))
    assert {job["state"] for job in client.get("/v1/jobs?state=queued&limit=100").json()["items"]} == {"queued"}


def events(response: httpx.Response) -> list[tuple[int, str, Any]]:
    """Id, name and data of each, until the stream ends."""
    found = []
    for block in response.read().decode().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def test_events_tell_the_life_of_a_job(client: httpx.Client) -> None:
    id = client.post("/v1/jobs", json=asked("moody", [SLEEP, 2])).json()["id"]
    with client.stream("GET", f"/v1/jobs/{id}/events") as response:
        found = events(response)
    assert [name for _, name, _ in found][-2:] == ["start", "completed"]
    assert found[-1][2] == client.get(f"/v1/jobs/{id}").json()


def test_events_continue_after_the_last_that_was_seen(client: httpx.Client) -> None:
    id = client.post("/v1/jobs?wait=20", json=asked()).json()["id"]
    with client.stream("GET", f"/v1/jobs/{id}/events") as response:
        (last, name, _), *_ = events(response)
    with client.stream("GET", f"/v1/jobs/{id}/events", headers={"last-event-id": str(last)}) as response:
        assert (name, events(response)) == ("completed", [])


def test_a_reader_who_leaves_leaves_no_subscription(client: httpx.Client, running: Running) -> None:
    id = client.post("/v1/jobs", json=asked("orphan")).json()["id"]
    with redis.Redis.from_url(running.redis_url) as store:
        with client.stream("GET", f"/v1/jobs/{id}/events") as response:
            stream = response.iter_bytes()
            next(stream)
            assert store.pubsub_numsub(keys.event(id))[0][1] == 1
        for _ in range(100):
            if store.pubsub_numsub(keys.event(id))[0][1] == 0:
                return
            client.get("/livez")
    raise AssertionError("the API still listens for a reader who left")

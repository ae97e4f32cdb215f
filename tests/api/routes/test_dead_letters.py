from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed, WorkerLost
from tests.api.conftest import Worker

pytestmark = pytest.mark.slow

ROW = [0.0] * 64
OTHER = [1.0] * 64
TRACEBACK = "  File one\nValueError: no"


async def submit(api: httpx.AsyncClient, inputs: Any = None, model: str = "digits") -> str:
    answer = await api.post("/v1/jobs", json={"model": model, "inputs": inputs or [ROW]})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def die(
    api: httpx.AsyncClient, worker: Worker, inputs: Any = None, model: str = "digits", error: Any = None, traceback: str = TRACEBACK
) -> str:
    """A job that failed for good."""
    id = await submit(api, inputs, model)
    delivery = worker.take()
    worker.finish(delivery, Outcome(id, error=error or PredictionFailed("it raised"), traceback=traceback))
    return id


async def test_a_letter_shows_input_error_traceback_and_every_attempt(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await die(api, worker)
    letter = (await api.get(f"/v1/dead-letters/{id}")).json()
    assert (letter["model"], letter["version"], letter["method"], letter["rows"]) == ("digits", "1", "predict", 1)
    assert letter["error"] == {"code": "prediction_failed", "detail": "it raised"}
    assert letter["traceback"] == "  File one\nValueError: no"
    assert letter["inputs"] == [ROW]
    assert [one["worker"] for one in letter["attempts"]] == ["host/1"]
    assert letter["attempts"][0]["started_at"] <= letter["died_at"]


async def test_a_job_does_not_show_the_traceback(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await die(api, worker)
    assert "ValueError" not in (await api.get(f"/v1/jobs/{id}")).text


async def test_records_come_back_as_records(api: httpx.AsyncClient, worker: Worker, wine: dict[str, Any]) -> None:
    id = await die(api, worker, [wine], "wine")
    assert (await api.get(f"/v1/dead-letters/{id}")).json()["inputs"] == [wine]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, [0, 1]),
        ({"model": "digits"}, [0]),
        ({"model": "wine@1"}, [1]),
        ({"error": "worker_lost"}, [1]),
        ({"error": "worker_lost", "model": "digits"}, []),
        ({"after": "2020-01-01T00:00:00Z"}, [0, 1]),
        ({"before": "2020-01-01T00:00:00Z"}, []),
    ],
)
async def test_letters_are_found_by_model_error_and_time(
    api: httpx.AsyncClient, worker: Worker, wine: dict[str, Any], query: dict[str, str], shown: list[int]
) -> None:
    ids = [await die(api, worker), await die(api, worker, [wine], "wine", WorkerLost("it died"))]
    found = (await api.get("/v1/dead-letters", params=query)).json()["items"]
    assert [letter["id"] for letter in found] == [ids[at] for at in reversed(shown)]


async def test_pages_show_each_letter_once_though_many_died_at_the_same_moment(api: httpx.AsyncClient, worker: Worker) -> None:
    ids = [await submit(api) for _ in range(7)]
    for _ in ids:
        delivery = worker.take()
        worker.finish(delivery, *(Outcome(job, error=PredictionFailed("no")) for job in delivery.jobs))
    when = worker.client.zrange("celeriac:dead", 0, 0, withscores=True)[0][1]
    worker.client.zadd("celeriac:dead", dict.fromkeys(ids, when))
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await api.get("/v1/dead-letters", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [letter["id"] for letter in page["items"]]
        cursor = page["next"]
    assert sorted(seen) == sorted(ids)


async def test_a_replay_makes_a_new_job_and_the_letter_goes(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await die(api, worker)
    answer = await api.post(f"/v1/dead-letters/{id}/replay")
    assert answer.status_code == 202
    job = answer.json()
    assert (job["replay_of"], job["state"]) == (id, "queued")
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert worker.take().jobs == (job["id"],)
    assert (await api.get(f"/v1/dead-letters/{id}")).json()["code"] == "dead_letter_not_found"


async def test_a_replay_may_mend_the_input(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await die(api, worker)
    await api.post(f"/v1/dead-letters/{id}/replay", json={"inputs": [OTHER, OTHER], "method": "predict_proba"})
    delivery = worker.take()
    assert (delivery.rows, delivery.outputs) == ((2,), ("predict_proba",))


@pytest.mark.parametrize(
    ("mended", "code"),
    [
        ({"inputs": [[1.0]]}, "invalid_tensor"),
        ({"model": "wine"}, "invalid_tensor"),
        ({"model": "nobody"}, "model_not_found"),
        ({"method": "transform"}, "invalid_input"),
        ({"inputs": [OTHER], "priority": 1}, "unknown_field"),
    ],
)
async def test_a_replay_that_does_not_fit_its_model_is_refused_and_the_letter_stays(
    api: httpx.AsyncClient, worker: Worker, mended: dict[str, Any], code: str
) -> None:
    id = await die(api, worker)
    answer = await api.post(f"/v1/dead-letters/{id}/replay", json=mended)
    assert answer.json()["code"] == code
    assert (await api.get(f"/v1/dead-letters/{id}")).status_code == 200


async def test_a_letter_that_outlived_its_replay_makes_no_second_job(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await die(api, worker)
    kept, scored = worker.client.dump(f"celeriac:dead:{id}"), worker.client.zscore("celeriac:dead", id)
    assert kept is not None
    first = (await api.post(f"/v1/dead-letters/{id}/replay")).json()
    # As if the process had died between the submission and the removal.
    worker.client.restore(f"celeriac:dead:{id}", 0, kept)
    worker.client.zadd("celeriac:dead", {id: scored or 0.0})
    second = (await api.post(f"/v1/dead-letters/{id}/replay")).json()
    assert first["id"] == second["id"]
    assert worker.client.llen("celeriac:default") == 1


async def test_letters_are_replayed_by_filter_and_what_is_refused_stays(
    api: httpx.AsyncClient, worker: Worker, wine: dict[str, Any]
) -> None:
    ids = [await die(api, worker), await die(api, worker)]
    other = await die(api, worker, [wine], "wine")
    answer = (await api.post("/v1/dead-letters/replay", params={"all": "true"}, json={"model": "digits@production"})).json()
    assert (answer["replayed"], answer["next"]) == (2, None)
    assert sorted(one["replay_of"] for one in answer["jobs"]) == sorted(ids)
    assert [one["id"] for one in answer["refused"]] == [other]
    assert [one["id"] for one in (await api.get("/v1/dead-letters")).json()["items"]] == [other]


async def test_letters_are_discarded_by_filter_and_the_rest_is_reported(api: httpx.AsyncClient, worker: Worker) -> None:
    for _ in range(3):
        await die(api, worker)
    first = (await api.delete("/v1/dead-letters", params={"model": "digits", "limit": 2})).json()
    second = (await api.delete("/v1/dead-letters", params={"model": "digits", "cursor": first["next"]})).json()
    assert (first["discarded"], second) == (2, {"discarded": 1, "next": None})


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/v1/dead-letters"), ("POST", "/v1/dead-letters/replay")])
async def test_a_call_that_forgot_its_filter_reaches_no_letter(api: httpx.AsyncClient, worker: Worker, method: str, path: str) -> None:
    id = await die(api, worker)
    assert (await api.request(method, path)).status_code == 422
    assert (await api.get(f"/v1/dead-letters/{id}")).status_code == 200


async def test_one_letter_is_discarded(api: httpx.AsyncClient, worker: Worker) -> None:
    id = await die(api, worker)
    assert (await api.delete(f"/v1/dead-letters/{id}")).json()["id"] == id
    assert (await api.get("/v1/dead-letters")).json() == {"items": [], "next": None}
    assert (await api.delete(f"/v1/dead-letters/{id}")).status_code == 404


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "nan_1"}, {"after": "soon"}, {"by": "me"}])
async def test_a_question_that_is_wrong_is_refused(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    assert (await api.get("/v1/dead-letters", params=query)).status_code == 422


RAISED = (
    'Traceback (most recent call last):\n  File "/models/digits/1/model.py", line {line}, in predict\n    row["x"]\nKeyError: {key!r}\n'
)


async def test_letters_with_the_same_cause_are_one_group(api: httpx.AsyncClient, worker: Worker) -> None:
    ids = [await die(api, worker, traceback=RAISED.format(line=line, key=key)) for line, key in ((17, "a"), (17, "b"), (40, "a"))]
    lost = await die(api, worker, error=WorkerLost("it died"), traceback="")
    found = (await api.get("/v1/dead-letters/groups")).json()
    shown = [(group["count"], group["error"], group["exception"], group["frame"], group["newest"]) for group in found["items"]]
    assert shown[0] == (2, "prediction_failed", "KeyError", "model.py:17", ids[1])
    assert set(shown[1:]) == {(1, "prediction_failed", "KeyError", "model.py:40", ids[2]), (1, "worker_lost", None, None, lost)}
    group = found["items"][0]
    assert (group["model"], group["versions"], found["complete"]) == ("digits", ["1"], True)
    assert group["first_died_at"] < group["last_died_at"]
    listed = (await api.get("/v1/dead-letters", params={"fingerprint": group["fingerprint"]})).json()["items"]
    assert [(letter["id"], letter["fingerprint"]) for letter in listed] == [(id, group["fingerprint"]) for id in reversed(ids[:2])]


async def test_a_group_is_replayed_and_the_others_stay(api: httpx.AsyncClient, worker: Worker) -> None:
    ids = [await die(api, worker, traceback=RAISED.format(line=line, key="a")) for line in (17, 17, 40)]
    group = (await api.get("/v1/dead-letters/groups")).json()["items"][0]
    replayed = (await api.post("/v1/dead-letters/replay", params={"fingerprint": group["fingerprint"]})).json()
    assert {job["replay_of"] for job in replayed["jobs"]} == set(ids[:2])
    assert [letter["id"] for letter in (await api.get("/v1/dead-letters")).json()["items"]] == ids[2:]


async def test_a_fingerprint_of_another_form_is_refused(api: httpx.AsyncClient) -> None:
    refused = await api.get("/v1/dead-letters", params={"fingerprint": "model.py:17"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/fingerprint")

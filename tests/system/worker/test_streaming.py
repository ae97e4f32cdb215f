"""A model that yields: its pieces are seen while it continues, and its answer is all of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.code import STORYTELLER, publish
from tests.running import ROOT, Running, wait_until_ready

STORY = "Once upon a time."
KEPT = 50
Event = tuple[int, str, dict[str, Any]]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stories")


@pytest.fixture(scope="module")
def api(running: Running, state: Path) -> Iterator[httpx.Client]:
    publish(running, "storyteller", STORYTELLER, ready=False)
    with (
        running.process("worker", pool="stories", processes=1, state=state, max_stream_chunks=KEPT, max_stream_bytes=1000),
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        wait_until_ready(f"{running.url}/v2/models/storyteller/ready")
        yield client
    shutil.rmtree(running.models / "storyteller")


def asked(*about: str) -> dict[str, Any]:
    return {"model": "storyteller", "inputs": list(about)}


def reported(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        fields[name] = value
        if name == "data":
            yield int(fields["id"]), fields["event"], json.loads(value)


def streamed(api: httpx.Client, *about: str) -> list[Event]:
    """All events of a job that is submitted so."""
    with api.stream("POST", "/v1/jobs", json=asked(*about), headers={"accept": "text/event-stream"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        return list(reported(stream.iter_lines()))


def events_of(api: httpx.Client, id: str, after: int = 0) -> list[Event]:
    with api.stream("GET", f"/v1/jobs/{id}/events", headers={"last-event-id": str(after)}) as stream:
        return list(reported(stream.iter_lines()))


def outputs(events: list[Event]) -> list[dict[str, Any]]:
    return [data for _, name, data in events if name == "output"]


def test_who_submits_and_streams_gets_the_pieces_and_then_the_whole(api: httpx.Client) -> None:
    events = streamed(api, "words")
    assert [one["chunk"] for one in outputs(events)] == ["Once ", "upon ", "a time."]
    assert [(one["index"], one["row"], one["attempt"]) for one in outputs(events)] == [(at, 0, 1) for at in range(3)]
    ids = [id for id, _, _ in events]
    assert ids == sorted(set(ids))
    _, name, job = events[-1]
    assert (name, job["state"], job["result"]) == ("completed", "succeeded", [STORY])


def test_rows_are_distinguished(api: httpx.Client) -> None:
    events = streamed(api, "one", "another")
    assert ["".join(one["chunk"] for one in outputs(events) if one["row"] == row) for row in (0, 1)] == [STORY, STORY]
    assert events[-1][2]["result"] == [STORY, STORY]


def test_a_piece_is_seen_before_the_next_one_is_there(api: httpx.Client, state: Path) -> None:
    with api.stream("POST", "/v1/jobs", json=asked("patience"), headers={"accept": "text/event-stream"}) as stream:
        events = reported(stream.iter_lines())
        assert next(data for _, name, data in events if name == "output" and data["index"] == 1)["chunk"] == "upon "
        # Only now does it go on.
        (state / "story-go").touch()
        assert [name for _, name, _ in events][-2:] == ["output", "completed"]


def test_a_stream_continues_after_the_last_event_that_was_seen(api: httpx.Client) -> None:
    events = streamed(api, "words")
    first = next(id for id, name, _ in events if name == "output")
    assert events_of(api, events[-1][2]["id"], first) == [event for event in events if event[0] > first]


def test_who_comes_late_gets_what_is_kept_and_the_whole(api: httpx.Client) -> None:
    [*_, (_, _, job)] = streamed(api, "length")
    events = events_of(api, job["id"])
    assert [one["index"] for one in outputs(events)] == list(range(203 - KEPT, 203))
    assert events[-1][2]["result"] == ["Once upon " + "and " * 200 + "a time."]


def test_a_piece_that_is_too_large_to_be_reported_is_in_the_answer_all_the_same(api: httpx.Client) -> None:
    events = streamed(api, "a flood")
    assert [one["index"] for one in outputs(events)] == [0, 1, 3]
    assert events[-1][2]["result"] == ["Once upon " + "water " * 1000 + "a time."]


def test_who_takes_either_gets_json(api: httpx.Client) -> None:
    answer = api.post("/v1/jobs?wait=30", json=asked("words"), headers={"accept": "application/json, text/event-stream"})
    assert answer.json()["result"] == [STORY]


def test_another_attempt_begins_anew_and_says_so(api: httpx.Client) -> None:
    events = streamed(api, "a first failure")
    assert "".join(one["chunk"] for one in outputs(events) if one["attempt"] == 2) == STORY
    job = events[-1][2]
    assert (job["attempt"], job["result"]) == (2, [STORY])
    again = outputs(events_of(api, job["id"]))
    assert [(one["index"], one["attempt"]) for one in again] == [(at, 2) for at in range(3)]


def test_who_cancels_stops_the_generator(api: httpx.Client, state: Path) -> None:
    with api.stream("POST", "/v1/jobs", json=asked("eternity"), headers={"accept": "text/event-stream"}) as stream:
        events = reported(stream.iter_lines())
        id = next(data["id"] for _, _, data in events if "id" in data)
        next(data for _, name, data in events if name == "output" and data["index"] == 10)
        assert api.delete(f"/v1/jobs/{id}").json()["state"] == "cancelled"
        assert [(name, data["state"]) for _, name, data in events if name != "output"][-1] == ("completed", "cancelled")
    # The one process is free for another only when the generator is closed.
    assert streamed(api, "words")[-1][2]["state"] == "succeeded"
    assert (state / "story-stopped").exists()


def test_a_synchronous_request_gets_the_whole(api: httpx.Client) -> None:
    body = {"inputs": [{"name": "about", "shape": [1], "datatype": "BYTES", "data": ["words"]}]}
    assert api.post("/v2/models/storyteller/infer", json=body).json()["outputs"][0]["data"] == [STORY]


def test_a_step_of_a_pipeline_gets_the_whole_and_its_own_job_reports_the_pieces(
    running: Running, api: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "tales.yaml").write_text("inputs: [of]\nsteps:\n  tell: {model: storyteller, inputs: $inputs.of}\noutput: $tell\n")
    with running.process("api", pipelines=tmp_path) as (_, url):
        body = {"pipeline": "tales", "inputs": {"of": ["words", "more"]}}
        job = httpx.post(f"{url}/v1/jobs?wait=30", json=body, timeout=40).json()
        [step] = httpx.get(f"{url}/v1/jobs/{job['id']}").json()["steps"]
    assert (job["state"], job["result"]) == ("succeeded", [STORY, STORY])
    assert [(one["row"], one["chunk"]) for one in outputs(events_of(api, step["job"]))] == [
        (row, piece) for row in (0, 1) for piece in ("Once ", "upon ", "a time.")
    ]


def test_the_command_line_prints_it_as_it_comes(running: Running, api: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"about": "words"}]')
    line = [sys.executable, "-m", "app", "predict", "storyteller", "--data", str(tmp_path / "rows.json"), "--stream", "--url", running.url]
    done = subprocess.run(line, cwd=ROOT, env=running.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, STORY + "\n"), done.stderr
    id = api.get("/v1/jobs?model=storyteller&limit=1").json()["items"][0]["id"]
    watched = subprocess.run([*line[:3], "jobs", "watch", id, "--url", running.url], cwd=ROOT, env=running.environment, capture_output=True)
    assert watched.stdout.decode().startswith(STORY + "\n")

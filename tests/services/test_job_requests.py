"""Bodies of jobs, pipeline runs and replays."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.core.large_inputs import LargeInputs
from app.core.models import ModelRef
from app.services.requests.dead_letters import BulkReplay, Replay
from app.services.requests.jobs import PipelineSubmission, Submission, deadline_s, parse_submission
from app.settings import Settings

SETTINGS = Settings(default_deadline_s=30, job_ttl_s=3600)
JOB: dict[str, Any] = {"model": "digits@production", "inputs": [[1]]}


@pytest.mark.parametrize(("seconds", "expected"), [(None, 30.0), (5.0, 5.0), (3600.0, 3600.0)])
def test_a_deadline_is_the_field_or_the_default(seconds: float | None, expected: float) -> None:
    assert deadline_s(seconds, SETTINGS) == expected


def test_a_deadline_above_the_limit_of_the_server_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"Invalid deadline_s 3601\. Use .* up to 3600") as refused:
        deadline_s(3601, SETTINGS)
    assert refused.value.pointer == "/deadline_s"


def test_a_body_with_a_pipeline_is_a_run() -> None:
    assert isinstance(parse_submission({"pipeline": "echo"}), PipelineSubmission)
    job = parse_submission(JOB)
    assert isinstance(job, Submission)
    assert (job.model, job.inputs) == (ModelRef("digits", alias="production"), [[1]])


def test_inputs_are_passed_on_unchanged() -> None:
    large = LargeInputs(b"", "fingerprint")
    assert Submission.parse({**JOB, "inputs": large}).inputs is large
    assert PipelineSubmission.parse({"pipeline": "echo", "inputs": large}).inputs is large


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({"inputs": [[1]]}, "/model", "Field model is missing"),
        ({**JOB, "model": None}, "/model", "Field model is missing"),
        ({**JOB, "model": 7}, "/model", "Invalid model 7. Use name, name@alias or name@version"),
        ({**JOB, "model": "../etc"}, "/model", "Invalid model '../etc'. Use name, name@alias or name@version"),
        ({"model": "digits"}, "/inputs", "Field inputs is missing"),
        ({**JOB, "method": ["predict"]}, "/method", "must be a string"),
        *(({**JOB, "deadline_s": deadline}, "/deadline_s", "must be") for deadline in (0, -1, True, "5", [5])),
        (
            {**JOB, "pipeline": "echo"},
            "/model",
            "Unknown field 'model'. Supported fields: pipeline, inputs, deadline_s, service_tier, webhook",
        ),
        ({"pipeline": 7}, "/pipeline", "must be a string"),
    ],
)
def test_an_invalid_body_is_refused(body: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_submission(body)
    assert refused.value.pointer == pointer
    assert detail in refused.value.detail


def test_only_a_replay_of_one_letter_takes_other_rows() -> None:
    assert Replay.parse({"inputs": [[1]], "method": "predict"}).inputs == [[1]]
    with pytest.raises(InvalidInput, match="Unknown field 'inputs'"):
        BulkReplay.parse({"inputs": [[1]]})


def test_a_replay_is_written_as_it_was_sent() -> None:
    assert Replay.parse({"model": "wine@2", "method": None, "inputs": [{"a": 1}]}).model_dump(mode="json", exclude_unset=True) == {
        "model": "wine@2",
        "inputs": [{"a": 1}],
    }

"""What the processes write."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator

import pytest
from celery.exceptions import CPendingDeprecationWarning
from celery.worker.consumer.consumer import CANCEL_TASKS_BY_DEFAULT, CONNECTION_ERROR, CONNECTION_RETRY_STEP

from app import logs
from app.core import callers, traces
from app.core.traces import RequestContext
from app.settings import settings

Configure = Callable[..., io.StringIO]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def apply(**chosen: str) -> io.StringIO:
        for name, value in chosen.items():
            monkeypatch.setenv(f"CELERIAC_{name.upper()}", value)
        settings.cache_clear()
        stream = io.StringIO()
        logs.configure("api", stream)
        return stream

    yield apply
    settings.cache_clear()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_text_line_says_when_how_serious_where_and_what(configure: Configure) -> None:
    stream = configure(log_format="text")
    logging.getLogger("app.api.routes.jobs").warning("queue is %s", "long", extra={"job": "42"})
    clock, level, where, *words = stream.getvalue().split()
    assert (len(clock), level, where, words) == (12, "warning", "api.routes.jobs", ["queue", "is", "long", "job=42"])


def test_a_pipe_gets_no_color(configure: Configure) -> None:
    stream = configure(log_format="text")
    logging.getLogger("app").error("red")
    assert "\x1b" not in stream.getvalue()


def test_color_if_it_is_set(configure: Configure) -> None:
    stream = configure(log_format="text", log_color="true")
    logging.getLogger("app").error("red")
    assert stream.getvalue().startswith("\x1b[31m")


def test_a_json_line_is_one_object_with_the_extras_and_the_exception(configure: Configure) -> None:
    stream = configure(log_format="json")
    try:
        raise ValueError("no\nsuch luck")
    except ValueError:
        logging.getLogger("app.worker").exception("failed", extra={"model": "digits"})
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert (record["level"], record["process"], record["logger"], record["model"]) == ("error", "api", "app.worker", "digits")
    assert "such luck" in record["exception"]


def test_lines_below_the_level_are_not_written(configure: Configure) -> None:
    stream = configure(log_level="warning")
    logging.getLogger("app").info("quiet")
    assert stream.getvalue() == ""


def test_uvicorn_speaks_through_the_same_handler_but_not_of_each_request(configure: Configure) -> None:
    stream = configure()
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.access").info("GET /")
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["started"]


def test_a_warning_that_repeats_is_written_once_in_ten_seconds() -> None:
    now = 0.0
    repeats = logs.Repeats(lambda: now)

    def written(text: str, level: int = logging.WARNING, logger: str = "app.hooks", **extra: str) -> str | None:
        record = logging.getLogger(logger).makeRecord(logger, level, "file", 1, "%s", (text,), None, extra=extra)
        return record.getMessage() if repeats.filter(record) else None

    assert [written("Redis is unavailable") for _ in range(3)] == ["Redis is unavailable", None, None]
    assert written("another") == "another"
    assert written("Redis is unavailable", logger="app.api") == "Redis is unavailable"
    assert written("Redis is unavailable", job="1") == written("Redis is unavailable", job="2") == "Redis is unavailable"
    assert [written("started", logging.INFO) for _ in range(2)] == ["started", "started"]
    now = 10.0
    assert written("Redis is unavailable") == "Redis is unavailable (repeated 2 times)"
    assert written("Redis is unavailable") is None


def test_what_was_written_is_remembered_within_a_bound() -> None:
    repeats = logs.Repeats()
    for at in range(5000):
        repeats.filter(logging.makeLogRecord({"levelno": logging.ERROR, "msg": f"number {at}"}))
    assert len(repeats._seen) == 1000


def test_what_celery_says_of_a_lost_connection_is_not_written(configure: Configure) -> None:
    stream = configure(log_format="text")
    with warnings.catch_warnings():
        # As Celery does when a worker starts.
        warnings.filterwarnings("always", category=CPendingDeprecationWarning)
        warnings.warn(CANCEL_TASKS_BY_DEFAULT, CPendingDeprecationWarning, stacklevel=1)
        warnings.warn("something else", CPendingDeprecationWarning, stacklevel=1)
    assert "something else" in stream.getvalue()
    assert "Celery 5.1" not in stream.getvalue()


def test_what_celery_says_of_a_lost_connection_is_one_line(configure: Configure) -> None:
    stream = configure(log_format="text")
    celery = logging.getLogger("celery.worker.consumer.consumer")
    celery.error(
        CONNECTION_ERROR, "redis://here", OSError("refused"), CONNECTION_RETRY_STEP.format(when="now", retries=1, max_retries=None)
    )
    celery.info("Skipping prefetch count reduction after connection restart because")
    [line] = stream.getvalue().splitlines()
    assert line.endswith("Cannot connect to redis://here: refused. Trying again now... (1/None)")


def test_the_audit_log_is_written_at_every_level(configure: Configure) -> None:
    stream = configure(log_format="json", log_level="error")
    logging.getLogger(logs.AUDIT).info("model.unloaded", extra={"audit": True, "targets": [{"type": "model", "id": "wine"}]})
    logging.getLogger("app.api").info("left out")
    [line] = map(json.loads, stream.getvalue().splitlines())
    assert (line["message"], line["audit"], line["targets"]) == ("model.unloaded", True, [{"type": "model", "id": "wine"}])


def test_a_json_line_has_the_fields_of_its_block_and_its_own_before_them(configure: Configure) -> None:
    stream = configure(log_format="json")
    with logs.fields({"job_id": "job-1", "model": "digits"}):
        logging.getLogger("app").warning("slow", extra={"model": "wine"})
    logging.getLogger("app").warning("idle")
    slow, idle = map(json.loads, stream.getvalue().splitlines())
    assert (slow["job_id"], slow["model"]) == ("job-1", "wine")
    assert "job_id" not in idle


def test_a_json_line_names_the_request_its_owner_and_its_trace(configure: Configure) -> None:
    stream = configure(log_format="json")
    request = RequestContext("r-1", ("a" * 32, "b" * 16, True))
    with traces.serving(request), callers.on_behalf_of("team-a"):
        job = traces.begin()
        logging.getLogger("app").warning("full")
    assert job is not None
    line = json.loads(stream.getvalue())
    assert [line[name] for name in ("request_id", "owner", "trace_id", "span_id")] == ["r-1", "team-a", "a" * 32, job.span_id]

"""What the processes write."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from app import logs
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
    logging.getLogger("app.api.jobs").warning("queue is %s", "long", extra={"job": "42"})
    clock, level, where, *words = stream.getvalue().split()
    assert (len(clock), level, where, words) == (12, "warning", "api.jobs", ["queue", "is", "long", "job=42"])


def test_no_colour_where_the_output_is_no_terminal(configure: Configure) -> None:
    stream = configure(log_format="text")
    logging.getLogger("app").error("red")
    assert "\x1b" not in stream.getvalue()


def test_colour_where_it_is_asked_for(configure: Configure) -> None:
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
    found = json.loads(line)
    assert (found["level"], found["process"], found["logger"], found["model"]) == ("error", "api", "app.worker", "digits")
    assert "such luck" in found["exception"]


def test_lines_below_the_level_are_not_written(configure: Configure) -> None:
    stream = configure(log_level="warning")
    logging.getLogger("app").info("quiet")
    assert stream.getvalue() == ""


def test_uvicorn_speaks_through_the_same_handler_but_not_of_each_request(configure: Configure) -> None:
    stream = configure()
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.access").info("GET /")
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["started"]

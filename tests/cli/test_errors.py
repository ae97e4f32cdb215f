"""Exit codes, and the one sentence of every failure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from celeriac_cli import errors, options
from celeriac_cli.errors import EXIT_OF_CODE, Exit, exit_of

from app.cli.ports import free_port
from app.core.errors import every_error
from app.core.jobs import State
from app.core.schedules import Missed
from app.settings import settings
from tests.cli.conftest import Celeriac, Stranger


def test_every_error_code_of_the_server_has_an_exit_code() -> None:
    assert set(EXIT_OF_CODE) == set(every_error())


def test_a_code_of_a_newer_server_has_the_exit_code_of_its_status() -> None:
    assert (exit_of("nonesuch", 404), exit_of("nonesuch", 418)) == (Exit.NOT_FOUND, Exit.FAILED)


def test_options_offer_the_words_of_the_server() -> None:
    assert [list(options.State), list(options.Missed)] == [list(State), list(Missed)]


@pytest.mark.parametrize("code", Exit)
def test_every_exit_code_is_in_the_table(code: Exit) -> None:
    assert f"| {code.value}    | {code.name.lower():<11} |" in (errors.__doc__ or "")


def test_help_names_the_exit_codes(celeriac: Celeriac) -> None:
    assert "3 unreachable" in " ".join(celeriac("--help").out.split())


def test_help_imports_nothing_slow() -> None:
    slow = "{'sklearn', 'celery', 'fastapi', 'pydantic', 'httpx', 'redis'}"
    script = f"import app.cli.main, sys; print(*sorted({slow} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"


def test_nobody_there(celeriac: Celeriac) -> None:
    ended = celeriac("jobs", "list", "--url", f"http://127.0.0.1:{free_port()}")
    assert ended.exit == Exit.UNREACHABLE
    assert "start it with `celeriac up`" in ended.err


def test_an_address_that_is_none(celeriac: Celeriac) -> None:
    assert celeriac("jobs", "list", "--url", "ftp://here").exit == Exit.USAGE


@pytest.mark.parametrize(
    ("status", "content", "exit"),
    [
        (200, b"<html>", Exit.UNREACHABLE),
        (502, b"<html>", Exit.UNREACHABLE),
        (404, b"{}", Exit.NOT_FOUND),
        (500, b"", Exit.FAILED),
        (429, b'{"code": "queue_full", "detail": "the queue is full"}', Exit.NOT_NOW),
        (503, b'{"code": "store_unavailable", "detail": "Redis does not answer"}', Exit.UNREACHABLE),
    ],
)
def test_each_answer_has_its_exit_code(status: int, content: bytes, exit: Exit, celeriac: Celeriac, stranger: Stranger) -> None:
    stranger.status, stranger.content = status, content
    ended = celeriac("models", "list", "--url", stranger.url)
    assert ended.exit == exit
    assert ended.err.count("\n") == 1


def test_a_problem_is_its_sentence_without_the_pointer_of_the_api(celeriac: Celeriac, stranger: Stranger) -> None:
    problem = {"code": "invalid_tensor", "detail": "row 0 is short", "errors": [{"pointer": "/inputs/0", "detail": "row 0 is short"}]}
    stranger.status, stranger.content = 422, json.dumps(problem).encode()
    assert celeriac("jobs", "show", "1", "--url", stranger.url).err == "error: row 0 is short\n"


@pytest.mark.parametrize(
    ("detail", "pointer", "shown"),
    [
        ("Column 'x': 'thirty' is not a number.", "/inputs/1/x", "Row 1: Column 'x': 'thirty' is not a number."),
        ("Input 'text' expects text, got the number 1.", "/inputs/12", "Row 12: Input 'text' expects text, got the number 1."),
        ("Row 1 lacks the column 'x'.", "/inputs/1", "Row 1 lacks the column 'x'."),
        ("Column 'row 1': 'a' is not a number.", "/inputs/11/row 1", "Row 11: Column 'row 1': 'a' is not a number."),
        ("'x' takes FP64, not BYTES", "/inputs", "'x' takes FP64, not BYTES"),
        ("'image' is not text", "/inputs/image", "'image' is not text"),
        ("it is wrong", "/events/0", "it is wrong"),
        ("it is wrong", None, "it is wrong"),
    ],
)
def test_the_row_of_a_value_is_named_once(detail: str, pointer: str | None, shown: str) -> None:
    assert errors.with_row(detail, pointer) == shown


@pytest.mark.parametrize("command", ["predict m", "dead-letters replay 1"])
def test_a_refused_value_is_reported_with_its_row(command: str, celeriac: Celeriac, stranger: Stranger, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"x": 1}, {"x": "thirty"}]')
    detail = "Column 'x': 'thirty' is not a number."
    problem = {"code": "invalid_tensor", "detail": detail, "errors": [{"pointer": "/inputs/1/x", "detail": detail}]}
    stranger.status, stranger.content = 422, json.dumps(problem).encode()
    ended = celeriac(*command.split(), "--data", str(tmp_path / "rows.json"), "--url", stranger.url)
    assert (ended.exit, ended.err) == (Exit.USAGE, f"error: Row 1: {detail}\n")


def test_a_job_that_failed_at_a_value_is_reported_with_its_row(celeriac: Celeriac, stranger: Stranger, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"x": 1}, {"x": "thirty"}]')
    error = {"code": "invalid_tensor", "detail": "Column 'x': 'thirty' is not a number.", "pointer": "/inputs/1/x"}
    stranger.content = json.dumps({"id": "7", "state": "failed", "error": error}).encode()
    ended = celeriac("predict", "m", "--data", str(tmp_path / "rows.json"), "--url", stranger.url)
    assert "Job 7 failed: Row 1: Column 'x': 'thirty' is not a number." in ended.err


def test_a_problem_is_one_json_object_for_a_script(celeriac: Celeriac, stranger: Stranger) -> None:
    stranger.status, stranger.content = 404, b'{"code": "job_not_found", "detail": "Job 1 does not exist."}'
    ended = celeriac("jobs", "get", "1", "--json", "--url", stranger.url)
    assert json.loads(ended.err) == {"code": "job_not_found", "detail": "Job 1 does not exist.", "exit": 4}


@pytest.mark.parametrize(("state", "exit"), [("failed", Exit.FAILED), ("cancelled", Exit.FAILED), ("expired", Exit.FAILED)])
def test_a_job_that_did_not_succeed_is_a_failure(state: str, exit: Exit, celeriac: Celeriac, stranger: Stranger, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[[1]]")
    stranger.content = json.dumps({"id": "1", "state": state, "error": {"code": "prediction_failed", "detail": "it raised"}}).encode()
    ended = celeriac("predict", "m", "--data", str(tmp_path / "rows.json"), "--url", stranger.url)
    assert (ended.exit, "it raised" in ended.err) == (exit, True)


def test_a_job_that_is_not_done_in_time_is_not_now(celeriac: Celeriac, stranger: Stranger, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[[1]]")
    stranger.content = b'{"id": "1", "state": "queued"}'
    ended = celeriac("predict", "m", "--data", str(tmp_path / "rows.json"), "--wait", "0.05", "--url", stranger.url)
    assert ended.exit == Exit.NOT_NOW
    assert "celeriac jobs watch 1" in ended.err


def test_an_unknown_option_is_usage(celeriac: Celeriac) -> None:
    assert celeriac("predict", "m", "--dtaa", "x").exit == Exit.USAGE


def test_a_setting_that_is_wrong_is_named(celeriac: Celeriac, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_API_PORT", "eighty")
    settings.cache_clear()
    try:
        ended = celeriac("jobs", "list")
    finally:
        settings.cache_clear()
    assert ended.exit == Exit.USAGE
    assert "CELERIAC_API_PORT is 'eighty'" in ended.err


@pytest.mark.parametrize("content", ["", "\n \r\n"])
def test_a_table_without_a_byte_of_text_is_named(celeriac: Celeriac, stranger: Stranger, tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.csv").write_text(content)
    ended = celeriac("predict", "m", "--data", str(tmp_path / "rows.csv"), "--url", stranger.url)
    assert (ended.exit, ended.err) == (Exit.USAGE, f"error: {tmp_path / 'rows.csv'} contains no rows.\n")


def test_the_help_says_what_it_is_for(celeriac: Celeriac) -> None:
    assert "Serve machine-learning models: predictions, batches, pipelines, training." in celeriac("--help").out

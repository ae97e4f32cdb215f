"""The API as the command line meets it: one call, JSON back, and every failure as one sentence."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from app.cli import lock
from app.cli.errors import CLIError, Exit, exit_of
from app.cli.ports import local
from app.core.errors import every_error
from app.core.jobs import State
from app.settings import Settings, settings

# The API holds an answer no longer than its `max_wait_s`, whatever we ask for.
_HOLD_S: Final = 20.0
_BY_STATUS: Final = {404: Exit.NOT_FOUND, 429: Exit.NOT_NOW, 502: Exit.UNREACHABLE, 503: Exit.UNREACHABLE, 504: Exit.UNREACHABLE}


def default_url(settings: Settings) -> str:
    """The API that commands ask without `--url`.

    CELERIAC_URL, else the address that CELERIAC_API_HOST and CELERIAC_API_PORT name, else the `celeriac up` that runs in this
    folder or in one above it, else port 8000 of this machine.
    """
    named = {"api_host", "api_port"} & settings.model_fields_set and settings.api_port
    running = {} if settings.url or named else lock.read(settings.state)
    return str(settings.url or running.get("url") or local(settings.api_host, settings.api_port))


class Event(NamedTuple):
    """One of a stream."""

    id: str
    name: str
    data: dict[str, Any]


class Remote:
    """Use as `with Remote(url) as api`. Raises CLIError for whatever goes wrong."""

    def __init__(self, url: str = "") -> None:
        self.url = (url or default_url(settings())).rstrip("/")
        try:
            self._http = httpx.Client(base_url=self.url, timeout=httpx.Timeout(10, read=_HOLD_S + 20))
        except (httpx.InvalidURL, ValueError) as error:
            raise CLIError(f"{self.url!r} is not the URL of an API ({error}): use for example http://host:8000", Exit.USAGE) from None

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of the answer."""
        return self._ask("GET", path, params=_present(query))

    def post(self, path: str, body: Any, **query: Any) -> Any:
        """The JSON of the answer."""
        return self._ask("POST", path, json=body, params=_present(query))

    def upload(self, path: Path) -> dict[str, Any]:
        """The file object of a local file, which is sent as it is read. Raises CLIError where it cannot be."""
        try:
            with path.open("rb") as file:
                form: Any = {"file": (path.name, file)}
                found: dict[str, Any] = self._ask("POST", "/v1/files", files=form, timeout=httpx.Timeout(10, write=None, read=None))
                return found
        except OSError as error:
            raise CLIError(f"{path} cannot be read: {error.strerror}", Exit.REFUSED) from None

    def download(self, path: str, to: Path) -> None:
        """Writes what is answered to a file, which is there when it is whole."""
        half = to.with_name(f".{to.name}.part")
        try:
            with self._answer("GET", path, timeout=httpx.Timeout(10, read=60)) as answer, half.open("wb") as file:
                for data in answer.iter_bytes(1 << 20):
                    file.write(data)
            half.replace(to)
        finally:
            half.unlink(missing_ok=True)

    def delete(self, path: str, **query: Any) -> Any:
        """The JSON of the answer."""
        return self._ask("DELETE", path, params=_present(query))

    def wait(self, job: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The job, ended, or as it is when the seconds are over."""
        end = time.monotonic() + seconds
        while not State(job["state"]).final and (left := end - time.monotonic()) > 0:
            job = self.get(f"/v1/jobs/{job['id']}", wait=round(min(left, _HOLD_S), 3))
        return job

    def events(self, path: str, after: str = "") -> Iterator[Event]:
        """Server-sent events until the stream ends, those after the one with that id."""
        headers = {"last-event-id": after} if after else {}
        with self._answer("GET", path, headers=headers, timeout=httpx.Timeout(10, read=60)) as answer:
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                elif "data" in fields:
                    yield Event(fields.get("id", ""), fields.get("event", ""), json.loads(fields["data"]))
                    fields = {}

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        with self._answer(method, path, **options) as answer:
            content = answer.read()
        try:
            return json.loads(content)
        except ValueError:
            raise CLIError(f"{self.url} did not answer {method} {path} with JSON: is it a Celeriac API?", Exit.UNREACHABLE) from None

    @contextmanager
    def _answer(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        try:
            with self._http.stream(method, path, **options) as answer:
                if answer.is_error:
                    answer.read()
                    raise _problem(answer)
                yield answer
        except httpx.ConnectError as error:
            raise CLIError(
                f"No API answers at {self.url} ({error}): start it with `celeriac up`, or give --url", Exit.UNREACHABLE
            ) from None
        except httpx.UnsupportedProtocol:
            raise CLIError(f"{self.url!r} is not the URL of an API: use for example http://host:8000", Exit.USAGE) from None
        except httpx.HTTPError as error:
            raise CLIError(f"the connection to {self.url} failed ({type(error).__name__}): try again", Exit.UNREACHABLE) from None


def _present(query: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _problem(answer: httpx.Response) -> CLIError:
    try:
        body = dict(answer.json())
    except ValueError:
        body = {}
    code = str(body.get("code", ""))
    sentence = str(body.get("detail") or f"{answer.url} answered {answer.status_code} {answer.reason_phrase}")
    pointer = next((error.get("pointer") for error in body.get("errors", [])), None)
    kind = every_error().get(code)
    exit = exit_of(kind) if kind else _BY_STATUS.get(answer.status_code, Exit.FAILED)
    return CLIError(sentence, exit, code=code, pointer=pointer)

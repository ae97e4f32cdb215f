from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.cli.main import run


@dataclass
class Ended:
    """How a command ended."""

    exit: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Celeriac = Callable[..., Ended]


@pytest.fixture
def celeriac(capsys: pytest.CaptureFixture[str]) -> Celeriac:
    """Runs a command in this process, as a shell would see it."""

    def run_it(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            run(list(arguments))
        output = capsys.readouterr()
        return Ended(int(ended.value.code or 0), output.out, output.err)

    return run_it


class Terminal(io.StringIO):
    """A terminal as far as a program that writes can see."""

    def isatty(self) -> bool:
        return True


class Stranger:
    """A real HTTP server that returns a configured answer, as a proxy or another program on the port does."""

    def __init__(self) -> None:
        self.status, self.content = 200, b"{}"
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.send_response(answers.status)
                self.send_header("content-length", str(len(answers.content)))
                self.end_headers()
                self.wfile.write(answers.content)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    program = Stranger()
    thread = threading.Thread(target=program.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield program
    program.server.shutdown()
    program.server.server_close()
    thread.join()

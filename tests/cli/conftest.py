from __future__ import annotations

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
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run_it


class Stranger:
    """A real HTTP server that answers whatever it is told to, as a proxy or another program on the port does."""

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
    found = Stranger()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()

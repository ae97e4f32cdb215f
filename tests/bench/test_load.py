"""The load generator, against a server of a few lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.bench import load
from tests.bench.load import Exchange

pytestmark = pytest.mark.wrk


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    stalled_until = 0.0
    polls = 0


class _Handler(BaseHTTPRequestHandler):
    """Answers 1 to every prediction; a job has ended when it is asked for the second time."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(max(0.0, self.server.stalled_until - time.monotonic()))
        if self.path == "/jobs":
            self._answer(202, b'{"id":"ab12"}')
        else:
            self._answer(200, b'{"data":[1]}')

    def do_GET(self) -> None:
        self.server.polls += 1
        self._answer(200, b'{"state":"SUCCESS","data":[1]}' if self.server.polls % 2 == 0 else b'{"state":"PENDING"}')

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield one
        one.shutdown()


def _exchange(server: _Server, path: str = "/lr", label: int = 1) -> Exchange:
    url = f"http://127.0.0.1:{server.server_port}"
    return Exchange(url, path, ['{"row":[1]}'], [label], r'"data":%[(%d+)%]', "/jobs/", pause_ms=1, ended='"SUCCESS"')


def test_a_job_counts_once_its_result_is_learned(server: _Server) -> None:
    found = load.jobs(_exchange(server, "/jobs"), 1, 1)
    assert found.count == pytest.approx(server.polls / 2, abs=1)
    assert (found.failed, found.wrong) == (0, 0)


def test_a_wrong_answer_is_counted(server: _Server) -> None:
    found = load.jobs(_exchange(server, "/jobs", label=0), 1, 1)
    assert found.wrong == found.count > 0


def test_at_a_fixed_rate_a_stall_counts_for_all_that_were_due_in_it(server: _Server) -> None:
    server.stalled_until = time.monotonic() + 1.0
    found = load.at_rate(_exchange(server), 100, 2, clients=4)
    assert found.p90_ms > 500

"""Redis as others run it: behind TLS, and watched by sentinels. Real servers on free ports of this machine."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from app.cli import redis_server as servers
from app.cli.parent_death import end_with_parent
from app.cli.ports import free_port
from tests import tools

MASTER = "mymaster"


def until(true: Callable[[], bool], what: str, timeout_s: float = 120) -> None:
    """Waits for a change in another process, which sends no event."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Certificates:
    """Made by an authority of the test's own; the server's is for `names`."""

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, names: str = "IP:127.0.0.1,DNS:localhost") -> Certificates:
        authority, request = folder / "ca.crt", folder / "server.csr"
        found = cls(authority, folder / "server.crt", folder / "server.key")
        (folder / "san").write_text(f"subjectAltName={names}")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        # Python asks for it since 3.13.
        usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        x509 = ["-CA", authority, "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", folder / "san"]
        for line in (
            ["req", "-x509", *key, *usage, "-keyout", folder / "ca.key", "-out", authority, "-subj", "/CN=authority", "-days", "2"],
            ["req", *key, "-keyout", found.key, "-out", request, "-subj", "/CN=redis"],
            ["x509", "-req", "-in", request, *x509, "-out", found.certificate],
        ):
            subprocess.run(["openssl", *map(str, line)], check=True, capture_output=True)
        return found


@contextlib.contextmanager
def tls(port: int, certificates: Certificates, *, ask: bool = False) -> Iterator[int]:
    """The port of a proxy that speaks TLS in front of 127.0.0.1:`port`; `ask`: only to those who show a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates.authority))
    context.load_cert_chain(certificates.certificate, certificates.key)
    context.verify_mode = ssl.CERT_REQUIRED if ask else ssl.CERT_NONE

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            # Who shows no certificate is refused, which is no news.
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", port)) as inner,
                context.wrap_socket(self.request, server_side=True) as outer,
            ):
                answers = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
                answers.start()
                _pump(outer, inner)
                answers.join()

    class Proxy(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Proxy(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy.server_address[1]
        proxy.shutdown()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@dataclass
class Watched:
    """A master and a replica with three sentinels; `url` names the sentinels."""

    url: str
    sentinel: redis.Redis
    nodes: dict[int, subprocess.Popen[bytes]]

    @property
    def master(self) -> int:
        """Its port."""
        client: Any = self.sentinel
        _, port = client.execute_command("SENTINEL", "get-master-addr-by-name", MASTER)
        return int(port)

    def kill_master(self) -> None:
        """Returns when the sentinels have made another node the master."""
        before = self.master
        self.nodes[before].kill()
        until(lambda: self.master != before, "a failover")


@contextlib.contextmanager
def watched(folder: Path, password: str = "") -> Iterator[Watched]:
    """`password` is the nodes'; the sentinels ask for none."""
    server, started = tools.redis_server(), list[subprocess.Popen[bytes]]()
    login = {"requirepass": password, "masterauth": password} if password else {}
    first, second = free_port(), free_port()
    sentinels = [free_port() for _ in range(3)]

    def start(line: list[str], name: str) -> subprocess.Popen[bytes]:
        with (folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(line, stdout=log, stderr=log, preexec_fn=end_with_parent)
        started.append(process)
        return process

    def node(port: int) -> subprocess.Popen[bytes]:
        home = folder / str(port)
        home.mkdir()
        line = servers.command(server, port, home, durable=False, **{"repl-diskless-sync-delay": "0", **login})
        return start(line, f"node-{port}")

    def sentinel(port: int) -> None:
        auth = f"sentinel auth-pass {MASTER} {password}\n" if password else ""
        file = folder / f"sentinel-{port}.conf"
        file.write_text(
            f"port {port}\nbind 127.0.0.1\nsentinel monitor {MASTER} 127.0.0.1 {first} 2\n{auth}"
            f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 2000\n"
        )
        start([str(server), str(file), "--sentinel"], f"sentinel-{port}")

    try:
        nodes = {first: node(first), second: node(second)}
        with redis.Redis(port=second, password=password or None) as replica, redis.Redis(port=sentinels[0]) as asked:
            until(lambda: _told(replica, "replication", "role") == "master", "the second node is up")
            replica.replicaof("127.0.0.1", first)
            until(lambda: _told(replica, "replication", "master_link_status") == "up", "the replica follows the master")
            for port in sentinels:
                sentinel(port)
            until(lambda: _told(asked, "sentinel", "master0").get("sentinels") == 3, "three sentinels know each other")
            until(lambda: _told(asked, "sentinel", "master0").get("slaves") == 1, "the sentinels know the replica")
            hosts = ",".join(f"127.0.0.1:{port}" for port in sentinels)
            login_part = f":{password}@" if password else ""
            yield Watched(f"sentinel://{login_part}{hosts}/{MASTER}/0", asked, nodes)
    finally:
        for process in started:
            process.kill()
            process.wait(10)


def _told(client: redis.Redis, section: str, name: str) -> Any:
    try:
        return dict(client.info(section)).get(name, {})
    except redis.ConnectionError:
        return {}

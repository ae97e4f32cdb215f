"""A real provider of identity tokens on this machine: it publishes keys over HTTP, signs with the newest one, and can rotate and break."""

from __future__ import annotations

import contextlib
import datetime
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

KINDS: dict[str, Any] = {
    "RS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "PS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
}


def jwk(private: Any, algorithm: str, **fields: Any) -> dict[str, Any]:
    """The public key, as a JSON Web Key."""
    public = KINDS[algorithm][1].to_jwk(private.public_key(), as_dict=True)
    return {**public, "use": "sig", "alg": algorithm, **fields}


class Provider:
    """An OpenID Connect provider. `asked` lists the paths of all requests, with the token that each has brought."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: dict[str, tuple[str, Any]] = {}
        self.documents: dict[str, Any] = {}
        """Answers by path, in place of the real ones: JSON, bytes, or an integer for a status."""
        self.asked: list[tuple[str, str]] = []
        self.hold = threading.Event()
        """Answers wait for it."""
        self.hold.set()
        self.rotate()

    def rotate(self, algorithm: str = "ES256", *, keep: bool = False) -> str:
        """Sign with a new key from now on. Return its ID."""
        if not keep:
            self.keys = {}
        id = f"key-{time.monotonic_ns()}"
        self.keys[id] = algorithm, KINDS[algorithm][0]()
        return id

    def token(self, *, headers: dict[str, Any] | None = None, key: Any = None, algorithm: str = "", **claims: Any) -> str:
        """A token of five minutes for the audience `celeriac`. A claim that is None is left out."""
        id, (kind, private) = list(self.keys.items())[-1]
        now = int(time.time())
        body = {"iss": self.url, "sub": "alice", "aud": "celeriac", "iat": now, "exp": now + 300, **claims}
        kept = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(kept, key or private, algorithm or kind, {"kid": id, **(headers or {})})

    def document(self, path: str) -> Any:
        """What a GET of a path answers."""
        if path in self.documents:
            return self.documents[path]
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return {"keys": [jwk(private, algorithm, kid=id) for id, (algorithm, private) in self.keys.items()]} if path == "/keys" else 404

    @property
    def fetches(self) -> int:
        """How often the keys were fetched."""
        return sum(path == "/keys" for path, _ in self.asked)


@contextlib.contextmanager
def provider(certificates: Path | None = None, port: int = 0) -> Iterator[Provider]:
    """A provider that runs while the block does. With a folder for its certificate `ca.crt`, it has TLS."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append((self.path, self.headers.get("authorization", "")))
            made.hold.wait(30)
            answer = made.document(self.path)
            if "jwks" in self.path and self.headers.get("accept") not in ("*/*", "application/jwk-set+json"):
                answer = 406  # as Kubernetes does
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            with contextlib.suppress(OSError):  # the client has left
                self.send_response(answer if isinstance(answer, int) else 200)
                self.send_header("location", f"{made.url}/keys")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    made.url = f"{'https' if certificates else 'http'}://127.0.0.1:{server.server_port}"
    if certificates:
        server.socket = _tls(certificates).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _tls(folder: Path) -> ssl.SSLContext:
    """A context with a certificate that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", folder / "tls.key")
    return context

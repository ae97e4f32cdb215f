"""An OpenID Connect provider on this machine, with pages on which people sign in."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import flask
import oidc_provider_mock
import werkzeug.serving
from oidc_provider_mock._app import AuthorizationCodeGrant

# Public clients have no secret.
AuthorizationCodeGrant.TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "none"]
PEOPLE = {"alice": ["admins"], "bob": ["ml"], "mallory": []}


@dataclass
class Provider:
    """Where it is, and how clients proved who they are when they exchanged a code."""

    url: str = ""
    secrets: list[str] = field(default_factory=list)


@contextlib.contextmanager
def provider() -> Iterator[Provider]:
    """A provider that runs while the block does. Unlike the library, it demands PKCE."""
    made, challenges = Provider(), set[str]()
    users = [oidc_provider_mock.User(sub=name, claims={"groups": groups}) for name, groups in PEOPLE.items()]
    app = oidc_provider_mock.app(user_claims=users, require_nonce=True)

    def check() -> flask.Response | None:
        sent = flask.request.values
        if flask.request.path == "/oauth2/authorize" and sent.get("code_challenge_method") == "S256":
            challenges.add(sent["code_challenge"])
        if flask.request.path == "/oauth2/token":
            made.secrets.append(flask.request.authorization.password or "" if flask.request.authorization else "")
            digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() not in challenges:
                return flask.make_response({"error": "invalid_grant"}, 400)
        return None

    def without_the_internet(response: flask.Response) -> flask.Response:
        if response.mimetype == "text/html":
            response.set_data(re.sub(r"<link[^>]*>", "", response.get_data(as_text=True)))
        return response

    app.before_request(check)
    app.after_request(without_the_internet)
    server = werkzeug.serving.make_server("127.0.0.1", 0, app, threaded=True)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

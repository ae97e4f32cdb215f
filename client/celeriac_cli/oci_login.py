"""Credentials for OCI registries, as `docker login` has stored them, and how registries ask for them."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from celeriac_cli.errors import CLIError, Exit

_FIELD: Final = re.compile(r'(\w+)="([^"]*)"')
_HELPER: Final = re.compile(r"[A-Za-z0-9_.-]+")
_HELPER_S: Final = 60.0
_TOKEN: Final = "<token>"  # noqa: S105 - the user name that marks the secret as an identity token


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password, or an identity token."""

    user: str = ""
    password: str = ""
    identity: str = ""


def stored_login(host: str) -> Login | None:
    """Return what Docker's configuration has for a registry, or None. Raises CLIError if it cannot be read."""
    path = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text())
        entry: dict[str, Any] = next((entry for name, entry in config.get("auths", {}).items() if _host(name) == host), {})
        helper = config.get("credHelpers", {}).get(host) or config.get("credsStore")
        if helper:
            return _from_helper(str(helper), host)
        if token := entry.get("identitytoken"):
            return Login(identity=str(token))
        if auth := entry.get("auth"):
            user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
            return Login(user, password.rstrip("\0"))
        return Login(str(entry["username"]), str(entry["password"])) if "username" in entry and "password" in entry else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CLIError(f"{path} cannot be read ({error.strerror}).", Exit.REFUSED) from None
    except (ValueError, AttributeError, TypeError, KeyError, binascii.Error):
        raise CLIError(f"{path} is not a configuration of Docker. Run `docker login {host}`.", Exit.USAGE) from None


def _host(name: str) -> str:
    return urlsplit(name if "://" in name else f"//{name}").netloc


def _from_helper(helper: str, host: str) -> Login | None:
    command = f"docker-credential-{helper}"
    if not _HELPER.fullmatch(helper):
        raise CLIError(f"{helper!r} in Docker's configuration is not the name of a credential helper.", Exit.USAGE)
    # Docker stores the login of its own registry under this address.
    server = "https://index.docker.io/v1/" if host == "index.docker.io" else host
    try:
        done = subprocess.run([command, "get"], input=server, capture_output=True, text=True, check=False, timeout=_HELPER_S)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CLIError(f"{command}, which Docker's configuration names, does not run ({error}).", Exit.REFUSED) from None
    if done.returncode:
        return None  # it has none for this registry
    answer = json.loads(done.stdout)
    user, secret = str(answer["Username"]), str(answer["Secret"])
    return Login(identity=secret) if user == _TOKEN else Login(user, secret)


class RegistryAuth(httpx.Auth):
    """Sends a login, or a token for it, if the registry asks for one."""

    def __init__(self, origin: str, login: Login | None) -> None:
        """Authenticate requests to the registry at the URL `origin`, and no others."""
        self._origin = httpx.URL(origin)
        self._login = login
        self._header = ""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Send a request, and once more with credentials if the answer asks for them. Raises CLIError if the token is refused."""
        if not self._is_ours(request.url):
            yield request
            return
        if self._header:
            request.headers["authorization"] = self._header
        response = yield request
        # A redirect may have ended at another server, which must not see the login.
        if response.status_code != 401 or not self._is_ours(response.url):
            return
        schemes = {text.partition(" ")[0].lower(): text for text in response.headers.get_list("www-authenticate")}
        if "bearer" in schemes:
            fields = dict(_FIELD.findall(str(schemes["bearer"])))
            answer = yield self._token_request(fields)
            answer.read()
            self._header = f"Bearer {self._token(answer)}"
        elif "basic" in schemes and self._login and not self._header:
            self._header = _basic(self._login)
        else:
            return
        request.headers["authorization"] = self._header
        yield request

    def _is_ours(self, url: httpx.URL) -> bool:
        return (url.scheme, url.netloc) == (self._origin.scheme, self._origin.netloc)

    def _token_request(self, fields: dict[str, str]) -> httpx.Request:
        realm, login = fields.get("realm", ""), self._login
        query: dict[str, Any] = {name: fields[name] for name in ("service", "scope") if name in fields}
        if urlsplit(realm).scheme not in ("https", self._origin.scheme):
            raise CLIError(
                f"The registry {self._origin.host} issues tokens at {realm!r}, which is not HTTPS. Nothing was sent there.", Exit.REFUSED
            )
        if login and login.identity:
            form = query | {"grant_type": "refresh_token", "refresh_token": login.identity, "client_id": "celeriac"}
            return httpx.Request("POST", realm, data=form)
        return httpx.Request("GET", httpx.URL(realm).copy_merge_params(query), headers={"authorization": _basic(login)} if login else {})

    def _token(self, answer: httpx.Response) -> str:
        try:
            content: dict[str, Any] = answer.raise_for_status().json()
            return str(content.get("token") or content["access_token"])
        except httpx.HTTPStatusError:
            raise refused(self._origin.netloc.decode(), f"{answer.url.host} answered {answer.status_code}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CLIError(
                f"{answer.url.host}, which gives out tokens for {self._origin.host}, answered without one.", Exit.FAILED
            ) from None


def refused(host: str, reason: str) -> CLIError:
    """Return the error of a registry that does not accept the login, or that needs one."""
    return CLIError(f"The registry {host} refuses this ({reason}). Run `docker login {host}` with a user who may do it.", Exit.REFUSED)


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()

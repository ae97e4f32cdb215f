"""Issuers of identity tokens from a file, which a mounted ConfigMap holds.

issuers:
  - name: company
    issuer: https://login.example.com/realms/main
    audiences: [celeriac]
    roles_claim: realm_access.roles
    roles:
      - {value: ml-admin, role: admin}
      - {value: 'ml-*', role: user, models: ['wine*']}

The file is YAML, of which JSON is a part. Every value is read as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from app.core.errors import InvalidInput, InvalidToken
from app.core.identities import Issuer, unverified
from app.services.requests.issuers import FileIssuer
from app.services.watched_file import WatchedFile, read_list

MAX_ISSUERS = 20


class IssuersFile(WatchedFile[Issuer]):
    """The issuers of a file, by the claim `iss` of their tokens."""

    name: ClassVar[str] = "issuers"
    noun: ClassVar[str] = "issuers"

    @property
    def issuers(self) -> Mapping[str, Issuer]:
        """The issuers of the last valid file."""
        return self.entries

    def _parse(self, text: str) -> dict[str, Issuer]:
        issuers: dict[str, Issuer] = {}
        for issuer in parse(text):
            resolved = issuer if issuer.url else replace(issuer, url=_own_issuer(issuer))
            if resolved.url in issuers:
                raise InvalidInput(f"The issuer {resolved.url} occurs twice.")
            issuers[resolved.url] = resolved
        return issuers


def parse(text: str) -> list[Issuer]:
    """Return the issuers of a file. That of this cluster has no URL yet.

    Raises:
        InvalidInput: The file is not valid. The message names the entry.
    """
    entries = read_list(text, "issuers")
    if len(entries) > MAX_ISSUERS:
        raise InvalidInput(f"The file has {len(entries)} issuers. The maximum is {MAX_ISSUERS}.")
    issuers: dict[str, Issuer] = {}
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise InvalidInput(f"Issuer {number} must be a mapping with name, issuer, audiences and roles.")
        try:
            issuer = FileIssuer.parse(entry).parsed()
        except InvalidInput as error:
            raise InvalidInput(f"Issuer {number}: {error.detail}") from None
        if issuer.name in issuers:
            raise InvalidInput(f"Issuer {number}: the name {issuer.name} occurs twice.")
        issuers[issuer.name] = issuer
    return list(issuers.values())


def _own_issuer(issuer: Issuer) -> str:
    """Return the issuer of this cluster, which the token of this pod names. The kubelet has written that token."""
    try:
        text = Path(issuer.token_file).read_bytes().strip()
        url = unverified(text)[1].get("iss")
    except (OSError, InvalidToken) as error:
        raise InvalidInput(f"Issuer {issuer.name}: cannot read the issuer of this cluster from {issuer.token_file}: {error}") from None
    if not isinstance(url, str) or not url:
        raise InvalidInput(f"Issuer {issuer.name}: the token in {issuer.token_file} has no issuer (`iss`).")
    return url

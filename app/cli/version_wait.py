"""Waiting until a worker serves a version, or cannot."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from celeriac_cli.api import connect
from celeriac_cli.errors import CLIError, Exit

from app.cli.target import Target
from app.core.errors import CeleriacError
from app.core.promotions import Promotion, PromotionState

if TYPE_CHECKING:
    from celeriac import Client

_POLL_S: Final = 0.2
_SETTLE_S: Final = 10.0
"""How long the API may take to list a published version, and a first worker to appear."""


@dataclass(frozen=True, slots=True)
class VersionWait:
    """A version, and the promotion that moves an alias to it, if any."""

    target: Target
    name: str
    version: str
    promotion: Promotion | None = None

    @property
    def which(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    def until_served(self, seconds: float) -> str:
        """Wait until the version is served, and return a sentence that says so.

        Raises CLIError if the version cannot be served, or is not served after `seconds`.
        """
        from celeriac import NotFoundError

        began = time.monotonic()
        with connect(self.target.url) as client:
            while True:
                entry: dict[str, Any]
                try:
                    entry = client.models.get(self.name)
                except NotFoundError:
                    entry = {"versions": [], "aliases": {}, "promotions": [], "default": ""}
                if sentence := self._settled(entry):
                    return sentence
                waited = time.monotonic() - began
                if waited > _SETTLE_S:
                    self._check(entry, client)
                if waited > seconds:
                    self._check_workers(client)
                    raise self._pending(f"It is not served after {seconds:g} s: {self._reason(entry)}")
                time.sleep(_POLL_S)

    def _settled(self, entry: dict[str, Any]) -> str:
        """A sentence that says what happened, or "" if that is not decided yet. Raises CLIError if the version cannot be served."""
        state, reason = self._state(entry)
        if self.promotion is None:
            if state == "UNAVAILABLE":
                raise CLIError(f"{self.which} cannot be served: {reason}", Exit.FAILED, code="model_unavailable")
            if state == "READY":
                return f"{self.which} is served."
            wanted = {entry["default"], *entry["aliases"].values(), *(promotion["version"] for promotion in entry["promotions"])}
            newest = entry["versions"][-1:] and entry["versions"][-1]["version"] == self.version
            return "" if not state or newest or self.version in wanted else f"{self.which} is loaded by its first request."
        alias, leads = self.promotion.alias, entry["aliases"].get(self.promotion.alias)
        if leads == self.version and state == "READY":
            self._note("")
            return f"{self.name}@{alias} is now {self.version}"
        if leads == self.version and state == "UNAVAILABLE":
            raise CLIError(f"{self.which} cannot be served: {reason}", Exit.FAILED, code="model_unavailable")
        if failure := self._failure(entry):
            self._note(failure)
            stays = f"{self.name}@{alias} still points to {leads}." if leads else f"{self.name} has no alias {alias!r}."
            raise CLIError(f"{self.which} was not promoted: {failure}. {stays}", Exit.FAILED, code="not_promoted")
        target = self.target.repository.target(self.name, alias)
        if leads != self.version and target != self.version:
            message = f"{self.which} was not promoted: meanwhile {alias!r} was promoted to {target}."
            raise CLIError(message, Exit.CONFLICT, code="not_promoted")
        return ""

    def _failure(self, entry: dict[str, Any]) -> str:
        """The reason why the promotion failed, from the API or the repository; "" if it has not failed."""
        assert self.promotion is not None
        for promotion in entry["promotions"]:
            if (
                promotion["state"] == PromotionState.FAILED
                and promotion["alias"] == self.promotion.alias
                and promotion["id"] == self.promotion.id
            ):
                return str(promotion["reason"]).rstrip(".")
        with suppress(CeleriacError):
            request = self.target.repository.promotions(self.name).get(self.promotion.alias)
            if request and request.id == self.promotion.id and request.state == PromotionState.FAILED:
                return request.reason.rstrip(".")
        return ""

    def _check(self, entry: dict[str, Any], client: Client) -> None:
        """Raises CLIError if no server or worker will serve the version."""
        if not self._state(entry)[0]:
            message = (
                f"The server at {self.target.url} does not list {self.which}: it uses another folder than {self.target.repository.root}."
            )
            raise CLIError(message, Exit.NOT_FOUND, code="version_not_found")
        self._check_workers(client)

    def _check_workers(self, client: Client) -> None:
        """Raises CLIError if the pool of the version has no worker."""
        manifest = self.target.repository.manifest(self.name, self.version)
        workers = {pool["pool"]: pool["workers"] for pool in client.pools.list()}
        if manifest is not None and not workers.get(manifest.pool):
            raise self._pending(
                f"No worker of the pool {manifest.pool!r} is running. The first one that loads the version decides; "
                f"if the pool is scaled to zero, a request to {self.which} starts one."
            )

    def _pending(self, reason: str) -> CLIError:
        state = f"The promotion of {self.which} is pending." if self.promotion else f"{self.which} is published."
        return CLIError(f"{state} {reason}", Exit.NOT_NOW, code="model_unavailable")

    def _reason(self, entry: dict[str, Any]) -> str:
        alias = self.promotion.alias if self.promotion else None
        reasons = [
            promotion["reason"] for promotion in entry["promotions"] if promotion["version"] == self.version and promotion["alias"] == alias
        ]
        return reasons[0] if reasons else f"it is {self._state(entry)[0]}."

    def _state(self, entry: dict[str, Any]) -> tuple[str, str]:
        return next(
            ((version["state"], version.get("reason", "")) for version in entry["versions"] if version["version"] == self.version), ("", "")
        )

    def _note(self, failure: str) -> None:
        """Record the end of the promotion in the repository, which workers may not be able to write."""
        if self.promotion is not None and self.promotion.id:
            with suppress(CeleriacError, OSError):
                self.target.repository.settle(self.name, self.promotion, failure)

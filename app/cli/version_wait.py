"""Waits until a worker serves a version, or says why none does."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from app.cli.errors import CLIError, Exit
from app.cli.remote import Remote
from app.cli.target import Target
from app.core.errors import CeleriacError
from app.core.promotions import Promotion, PromotionState

_POLL_S: Final = 0.2
_PATIENCE_S: Final = 10.0
"""For the API to list what was published a moment ago, and for a first worker to appear."""


@dataclass(frozen=True, slots=True)
class VersionWait:
    """A version, and the alias that is to move to it, if any."""

    target: Target
    name: str
    version: str
    promotion: Promotion | None = None

    @property
    def which(self) -> str:
        return f"{self.name}@{self.version}"

    def until_served(self, seconds: float) -> str:
        """Return what happened, in a sentence. Raises CLIError if the version cannot be served, or is not yet after `seconds`."""
        began = time.monotonic()
        with Remote(self.target.url) as api:
            while True:
                try:
                    entry = api.get(f"/v1/models/{self.name}")
                except CLIError as error:
                    if error.exit != Exit.NOT_FOUND:
                        raise
                    entry = {"versions": [], "aliases": {}, "promotions": [], "default": ""}
                if sentence := self._settled(entry):
                    return sentence
                waited = time.monotonic() - began
                if waited > _PATIENCE_S:
                    self._check(entry, api)
                if waited > seconds:
                    raise self._pending(f"It is not served after {seconds:g} s: {self._reason(entry)}")
                time.sleep(_POLL_S)

    def _settled(self, entry: dict[str, Any]) -> str:
        """What happened, or nothing if that is not decided yet. Raises CLIError if the version cannot be served."""
        state, reason = self._state(entry)
        if self.promotion is None:
            if state == "UNAVAILABLE":
                raise CLIError(f"{self.which} cannot be served: {reason}", Exit.FAILED, code="model_unavailable")
            if state == "READY":
                return f"{self.which} is served."
            wanted = {entry["default"], *entry["aliases"].values(), *(one["version"] for one in entry["promotions"])}
            newest = entry["versions"][-1:] and entry["versions"][-1]["version"] == self.version
            return "" if not state or newest or self.version in wanted else f"{self.which} is loaded when it is first asked for."
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
            told = f"{self.which} was not promoted: meanwhile {alias!r} was promoted to {target}."
            raise CLIError(told, Exit.CONFLICT, code="not_promoted")
        return ""

    def _failure(self, entry: dict[str, Any]) -> str:
        """Why the promotion failed, as the API or the repository says."""
        assert self.promotion is not None
        for one in entry["promotions"]:
            if one["state"] == PromotionState.FAILED and one["alias"] == self.promotion.alias and one["id"] == self.promotion.id:
                return str(one["reason"]).rstrip(".")
        with suppress(CeleriacError):
            request = self.target.repository.promotions(self.name).get(self.promotion.alias)
            if request and request.id == self.promotion.id and request.state == PromotionState.FAILED:
                return request.reason.rstrip(".")
        return ""

    def _check(self, entry: dict[str, Any], api: Remote) -> None:
        """Raises CLIError if waiting is in vain."""
        if not self._state(entry)[0]:
            told = f"The server at {self.target.url} does not list {self.which}: it uses another folder than {self.target.repository.root}."
            raise CLIError(told, Exit.NOT_FOUND, code="version_not_found")
        manifest = self.target.repository.manifest(self.name, self.version)
        workers = {pool["pool"]: pool["workers"] for pool in api.get("/v1/pools")["items"]}
        if manifest is not None and not workers.get(manifest.pool):
            raise self._pending(
                f"No worker of the pool {manifest.pool!r} is running. The first one that loads the version decides; "
                f"if the pool is scaled to zero, a request to {self.which} starts one."
            )

    def _pending(self, reason: str) -> CLIError:
        begun = f"The promotion of {self.which} is pending." if self.promotion else f"{self.which} is published."
        return CLIError(f"{begun} {reason}", Exit.NOT_NOW, code="model_unavailable")

    def _reason(self, entry: dict[str, Any]) -> str:
        alias = self.promotion.alias if self.promotion else None
        found = [one["reason"] for one in entry["promotions"] if one["version"] == self.version and one["alias"] == alias]
        return found[0] if found else f"it is {self._state(entry)[0]}."

    def _state(self, entry: dict[str, Any]) -> tuple[str, str]:
        return next(((one["state"], one.get("reason", "")) for one in entry["versions"] if one["version"] == self.version), ("", ""))

    def _note(self, failure: str) -> None:
        """Bring the repository up to date, which workers may not be able to write."""
        if self.promotion is not None and self.promotion.id:
            with suppress(CeleriacError, OSError):
                self.target.repository.settle(self.name, self.promotion, failure)

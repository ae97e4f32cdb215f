"""The first answers: real held-out rows of the sample models, asked over HTTP, beside what is true."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import httpx

from app.cli.exits import Exit, Trouble
from app.registry.repository import Repository

NAMES: Final = ("breast-cancer", "diabetes", "digits", "wine")
"""Spelled here again, because the room that trains them takes a second to import; a test holds the two together."""
_ROWS: Final = 3
_PATIENCE_S: Final = 60.0


def missing(root: Path) -> list[str]:
    """The samples that the repository lacks."""
    present = Repository(root).models()
    return [name for name in NAMES if name not in present]


def examples(root: Path) -> dict[str, list[dict[str, Any]]]:
    """A few held-out rows of each sample in the repository: `{"input": row or record, "label": the truth}`."""
    repository = Repository(root)
    versions = {name: repository.versions(name)[-1] for name in NAMES if name in repository.models()}
    found = {name: repository.examples(name, version)[:_ROWS] for name, version in versions.items()}
    return {name: rows for name, rows in found.items() if rows}


async def ask(url: str, rows: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The jobs of all samples, asked at once. Raises Trouble where one is not answered."""
    async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE_S + 10) as http:
        await _served(http, set(rows))
        return list(await asyncio.gather(*(_ask(http, name, [row["input"] for row in some]) for name, some in rows.items())))


async def _served(http: httpx.AsyncClient, names: set[str]) -> None:
    """The API hears of the worker's models a moment after the worker is ready."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                states = {model["name"]: _state(model) for model in (await http.get("/v1/models")).json()["items"]}
                waits = {name: states.get(name, ("LOADING", "")) for name in names}
                broken = {name: reason for name, (state, reason) in waits.items() if state == "UNAVAILABLE" and reason}
                if broken:
                    raise Trouble("; ".join(f"{name} cannot be served: {reason}" for name, reason in broken.items()), Exit.NOT_NOW)
                if all(state == "READY" for state, _ in waits.values()):
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        told = ", ".join(f"{name} is {state}" for name, (state, _) in waits.items() if state != "READY")
        raise Trouble(f"after {_PATIENCE_S:g} s not every sample is served: {told}", Exit.NOT_NOW) from None


def _state(model: dict[str, Any]) -> tuple[str, str]:
    return next(((v["state"], v.get("reason", "")) for v in model["versions"] if v["version"] == model["default"]), ("LOADING", ""))


async def _ask(http: httpx.AsyncClient, name: str, inputs: list[Any]) -> dict[str, Any]:
    answer = await http.post("/v1/jobs", params={"wait": _PATIENCE_S}, json={"model": name, "inputs": inputs, "method": "predict"})
    job: dict[str, Any] = answer.json()
    if job.get("state") != "succeeded":
        told = job.get("detail") or job.get("error") or f"its job is {job.get('state')}"
        raise Trouble(f"{name} was asked and did not answer: {told}", Exit.FAILED)
    return job

"""The first predictions: held-out rows of the sample models, predicted over HTTP, beside their true labels."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import httpx

from app.registry.repository import Repository

NAMES: Final = ("breast-cancer", "diabetes", "digits", "wine")
"""Repeated here, because the module that trains them takes a second to import. A test compares the two."""
_ROWS: Final = 3


def missing(repository: Repository) -> list[str]:
    """The sample models that are missing in the repository."""
    present = repository.models()
    return [name for name in NAMES if name not in present]


def examples(repository: Repository) -> dict[str, list[dict[str, Any]]]:
    """A few held-out rows of each sample in the repository: `{"input": row or record, "label": the truth}`."""
    versions = {name: repository.versions(name)[-1] for name in NAMES if name in repository.models()}
    examples = {name: repository.examples(name, version)[:_ROWS] for name, version in versions.items()}
    return {name: rows for name, rows in examples.items() if rows}


@dataclass(frozen=True, slots=True)
class Answers:
    """`jobs` succeeded. `skipped` maps the name of each other sample to the reason."""

    jobs: list[dict[str, Any]]
    skipped: dict[str, str]


async def ask(url: str, rows: dict[str, list[dict[str, Any]]], timeout_s: float = 60.0, key: str = "") -> Answers:
    """Predict the rows of all sample models at once. Models that are not served within `timeout_s` are skipped."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=url, timeout=timeout_s + 10, headers=headers) as http:
        skipped = await _not_served(http, set(rows), timeout_s)
        served = {name: examples for name, examples in rows.items() if name not in skipped}
        results = await asyncio.gather(
            *(_predict(http, name, [row["input"] for row in examples], timeout_s) for name, examples in served.items())
        )
    for name, job in zip(served, results, strict=True):
        if isinstance(job, str):
            skipped[name] = job
    return Answers([job for job in results if not isinstance(job, str)], skipped)


async def _not_served(http: httpx.AsyncClient, names: set[str], timeout_s: float) -> dict[str, str]:
    """Why some models are not served. The API lists a worker's models a moment after the worker is ready."""
    waiting: dict[str, str] = {}
    broken: dict[str, str] = {}
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                listed = (await http.get("/v1/models")).json()["items"]
                states = {model["name"]: _state(model) for model in listed}
                current = {name: states.get(name, ("LOADING", "")) for name in names}
                broken = {name: reason for name, (state, reason) in current.items() if state == "UNAVAILABLE" and reason}
                waiting = {name: state for name, (state, _) in current.items() if state != "READY" and name not in broken}
                if not waiting:
                    return broken
                await asyncio.sleep(0.05)
    except TimeoutError:
        return broken | {name: f"it was still {state} after {timeout_s:g} s" for name, state in waiting.items()}


def _state(model: dict[str, Any]) -> tuple[str, str]:
    return next(((v["state"], v.get("reason", "")) for v in model["versions"] if v["version"] == model["default"]), ("LOADING", ""))


async def _predict(http: httpx.AsyncClient, name: str, inputs: list[Any], timeout_s: float) -> dict[str, Any] | str:
    """The job, or the reason why it did not succeed."""
    response = await http.post("/v1/jobs", params={"wait": timeout_s}, json={"model": name, "inputs": inputs, "method": "predict"})
    job: dict[str, Any] = response.json()
    if job.get("state") != "succeeded":
        error = job.get("error") or {}
        return str(job.get("detail") or error.get("detail") or f"its job {job.get('id')} is {job.get('state')}")
    return job

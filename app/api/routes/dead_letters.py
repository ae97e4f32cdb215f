"""/v1/dead-letters: jobs that failed for good. List them, look into one, ask it again as it was or mended, or let it go."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.http import params as query
from app.api.http.bodies import SMALL_BYTES, known, read_object
from app.api.http.idempotency import by_id
from app.api.routes.jobs import answer, deadline
from app.api.schemas import dead_letters as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.schemas.serializers import present, present_inputs
from app.api.server.plain_route import PlainRoute
from app.core.dead_letters import DeadLetter, Wanted
from app.core.errors import CeleriacError, DeadLetterNotFound, InvalidInput, JobConflict
from app.core.inputs import asked_of, from_rows, from_tensors
from app.core.jobs import Job
from app.core.models import ModelRef
from app.core.timestamps import rfc3339
from app.services.jobs import Gateway, gateway
from app.store import dead_letters

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"], route_class=PlainRoute, responses=PROBLEMS)
_FILTERS: Final = ("model", "error", "after", "before")
_AT_ONCE: Final = 32
"""Letters of a bulk replay that are submitted together: they travel in one delivery."""


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """The newest first, by model, error code and time of death; `next` is the cursor of the following page, null on the last."""
    found, following = await _page(request, most=100, usual=20)
    return answer({"items": [_summary(letter) for letter in found], "next": following})


@router.post("/replay", **schemas.REPLAY_MANY)
async def replay_many(request: Request) -> Response:
    """Asks the letters that the filter names again, up to `limit` a call; with the `next` of the answer, those that follow.

    The body may name another `model`, as after a mended version was published, and a `deadline_s`. What is refused stays a letter.
    """
    here = gateway(request)
    body = await _body(request, "model", "deadline_s")
    _chosen(request)
    found, following = await _page(request, most=1000, usual=100)
    jobs: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for at in range(0, len(found), _AT_ONCE):
        some = found[at : at + _AT_ONCE]
        answers = await asyncio.gather(*(_replay(here, letter.id, body) for letter in some), return_exceptions=True)
        for letter, said in zip(some, answers, strict=True):
            if isinstance(said, Job):
                jobs.append({"id": said.id, "replay_of": letter.id})
            elif isinstance(said, CeleriacError):
                refused.append({"id": letter.id, "error": said.as_dict()})
            else:
                raise said
    return answer({"replayed": len(jobs), "jobs": jobs, "refused": refused, "next": following}, 202)


@router.delete("", **schemas.DISCARD_MANY)
async def discard_many(request: Request) -> Response:
    """Lets the letters that the filter names go, up to `limit` a call; with the `next` of the answer, those that follow."""
    here = gateway(request)
    _chosen(request)
    found, following = await _page(request, most=1000, usual=1000)
    return answer({"discarded": await dead_letters.discard(here.redis, [letter.id for letter in found]), "next": following})


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """One letter whole: its input, the error with its traceback, every attempt with its worker and time."""
    letter = await _read(gateway(request), request.path_params["id"])
    return answer({**_summary(letter), "traceback": letter.traceback or None, "inputs": present_inputs(letter.inputs)})


@router.post("/{id}/replay", **schemas.REPLAY)
async def replay(request: Request) -> Response:
    """Makes a new job of the letter, as it was or with other `inputs`, `model`, `method` or `deadline_s`.

    The letter goes when the new job is durable. Asked twice, it makes one job.
    """
    here, id = gateway(request), request.path_params["id"]
    body = await _body(request, "inputs", "model", "method", "deadline_s")
    job = await _replay(here, id, body)
    links = {"location": f"/v1/jobs/{job.id}", "retry-after": "1"}
    return answer({**present(job), "replay_of": id}, 202, links)


@router.delete("/{id}", **schemas.DISCARD)
async def discard(request: Request) -> Response:
    """Lets one letter go; answers with it, as it was."""
    here = gateway(request)
    letter = await _read(here, request.path_params["id"])
    await dead_letters.discard(here.redis, [letter.id])
    return answer(_summary(letter))


async def _replay(here: Gateway, id: str, body: dict[str, Any]) -> Job:
    letter = await _read(here, id)
    model = body.get("model", f"{letter.model}@{letter.version}")
    if not isinstance(model, str):
        raise InvalidInput('model must be a string, as in "digits@production"', pointer="/model")
    manifest = await here.catalogue.serving(ModelRef.parse(model))
    outputs = asked_of(body, manifest) if "method" in body else tuple(manifest.output(name).name for name in letter.outputs)
    inputs = from_rows(manifest, body["inputs"]) if "inputs" in body else from_tensors(manifest, letter.inputs)
    conflict = JobConflict(f"the dead letter {id} is being asked again otherwise, as the job {letter.replay_id}")
    named = replace(by_id(letter.replay_id, body), conflict=conflict)
    job = await here.submit(manifest, inputs, outputs, deadline_s=deadline(body, here), wait_s=0, named=named, webhook=letter.webhook)
    await dead_letters.discard(here.redis, [id])
    return job


async def _page(request: Request, *, most: int, usual: int) -> tuple[list[DeadLetter], str | None]:
    asked = request.query_params
    known(asked, *_FILTERS, "limit", "cursor", "all")
    limit = query.whole(asked.get("limit", str(usual)), "limit", 1, most)
    wanted = Wanted(asked.get("model"), asked.get("error"), _time(request, "after"), _time(request, "before"))
    try:
        return await dead_letters.page(gateway(request).redis, wanted, asked.get("cursor"), limit)
    except ValueError:
        raise InvalidInput(f"cursor is {asked['cursor']!r}: give the `next` of the page before", pointer="/cursor") from None


def _chosen(request: Request) -> None:
    """Raises InvalidInput where nothing says which letters: a call that forgot its filter must not reach all of them."""
    if not any(name in request.query_params for name in _FILTERS) and request.query_params.get("all") != "true":
        raise InvalidInput(f"name the letters by {', '.join(_FILTERS)}, or say all=true", pointer="/all")


def _time(request: Request, name: str) -> float | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput(f"{name} is {text!r}: give a time with its zone, as in 2026-02-28T09:30:00Z", pointer=f"/{name}")
    return found.timestamp()


async def _body(request: Request, *names: str) -> dict[str, Any]:
    """An empty body, without a content type, is an empty object."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return {}
    body = await read_object(request, 4 * SMALL_BYTES)
    known(body, *names)
    return body


async def _read(here: Gateway, id: str) -> DeadLetter:
    letter = await dead_letters.read(here.redis, id)
    if letter is None:
        raise DeadLetterNotFound(f"there is no dead letter {id!r}: it was asked again, discarded, or kept for long enough")
    return letter


def _summary(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "model": letter.model,
        "version": letter.version,
        "method": letter.outputs[0],
        "rows": letter.rows,
        "error": letter.error,
        "attempts": [{"started_at": rfc3339(one.started_at), "worker": one.worker} for one in letter.attempts],
        "died_at": rfc3339(letter.died_at),
    }

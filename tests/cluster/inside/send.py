"""Sends jobs of known answers and waits for each: API MODEL JOBS FACTOR RATE STOP. Runs in a pod, over the Service.

No job is sent any more once there is a file STOP. The last line is JSON: `sent`, `right`, `wrong` (the first), `again` (jobs that took
more than one attempt), `repeated` (the first of those), `changed` (jobs whose answer is another at the end than when it was first seen),
`failed` (requests that brought no answer, by reason; each was sent again under the same id), `first_failed` (the time and the
request of the first by reason), `began` and `answered`, the time of each answer; `seconds` to the last.
"""

import asyncio
import collections
import datetime
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import httpx

api, model, jobs, factor, rate, stop = *sys.argv[1:3], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]), Path(sys.argv[6])
run = secrets.token_hex(4)
failed: collections.Counter[str] = collections.Counter()
first_failed: dict[str, str] = {}
ended: dict[str, dict[str, Any]] = {}
wrong: list[Any] = []
ABREAST = 48
RECORD = ("id", "attempt", "created_at", "started_at", "finished_at")


async def ask(client: httpx.AsyncClient, method: str, path: str, **more: Any) -> Any:
    """Asks until there is an answer, at most two minutes."""
    end = time.monotonic() + 120
    while True:
        try:
            answer = await client.request(method, path, **more)
            if answer.status_code < 500 and answer.status_code != 429:
                if answer.is_error:
                    sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
                return answer.json()
            reason = str(answer.status_code)
        except httpx.TransportError as error:
            reason = f"{type(error).__name__} {error} ({cause(error)})"
        failed[reason] += 1
        first_failed.setdefault(reason, f"{datetime.datetime.now(datetime.UTC):%H:%M:%S.%f} {method} {path}")
        if time.monotonic() > end:
            sys.exit(f"{method} {path}: no answer for two minutes, {dict(failed)}")
        await asyncio.sleep(0.2)


def cause(error: BaseException) -> str:
    """The exception that all others come from: it holds the error number of a connection."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return repr(error)


async def one(client: httpx.AsyncClient, sending: asyncio.Semaphore, asking: asyncio.Semaphore, number: int) -> None:
    id = f"suite-{run}-{number:06d}"
    async with sending:
        if rate and not stop.exists():
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        if stop.exists():
            return
        await ask(client, "PUT", f"/v1/jobs/{id}", json={"model": model, "inputs": [[float(number)]]})
    async with asking:
        while True:
            job = await ask(client, "GET", f"/v1/jobs/{id}?wait=20")
            if job["state"] in ("succeeded", "failed", "cancelled", "expired"):
                break
    ended[id] = job
    if answer_of(job) != ("succeeded", [number * factor + 1], None):
        wrong.append([number, *answer_of(job)])


def answer_of(job: dict[str, Any]) -> tuple[Any, ...]:
    return job["state"], job.get("result"), job.get("error")


async def changed(client: httpx.AsyncClient, asking: asyncio.Semaphore, id: str) -> bool:
    async with asking:
        return answer_of(await ask(client, "GET", f"/v1/jobs/{id}")) != answer_of(ended[id])


async def main() -> tuple[float, int]:
    """Seconds to the last answer, and how many answers are others now."""
    sending, asking = asyncio.Semaphore(ABREAST), asyncio.Semaphore(ABREAST)
    headers, limits = {"X-API-Key": os.environ["CELERIAC_API_KEY"]}, httpx.Limits(max_connections=2 * ABREAST)
    async with httpx.AsyncClient(base_url=api, headers=headers, timeout=40, limits=limits) as client:
        await asyncio.gather(*(one(client, sending, asking, number) for number in range(jobs)))
        seconds = time.monotonic() - begun
        return seconds, sum(await asyncio.gather(*(changed(client, asking, id) for id in ended)))


stop.unlink(missing_ok=True)
begun, started = time.monotonic(), time.time()
seconds, others = asyncio.run(main())
answered = sorted(datetime.datetime.fromisoformat(job["finished_at"]).timestamp() for job in ended.values())
reported = {
    "sent": len(ended),
    "right": len(ended) - len(wrong),
    "wrong": wrong[:5],
    "again": sum(job["attempt"] > 1 for job in ended.values()),
    "repeated": [{key: job.get(key) for key in RECORD} for job in ended.values() if job["attempt"] > 1][:5],
    "changed": others,
    "failed": failed,
    "first_failed": first_failed,
    "began": started,
    "answered": [round(at, 1) for at in answered],
    "seconds": seconds,
}
print(json.dumps(reported))

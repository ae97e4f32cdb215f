"""Sends jobs of known answers and waits for each: API MODEL JOBS FACTOR RATE. Runs in a pod, over the Service.

The last line is JSON: `right`, `wrong`, `ended` by state, `again` (jobs that took more than one attempt), `failed` (requests that
brought no answer, by reason; each was sent again under the same id), `seconds`.
"""

import asyncio
import collections
import json
import secrets
import sys
import time
from typing import Any

import httpx

api, model, jobs, factor, rate = *sys.argv[1:3], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])
run = secrets.token_hex(4)
failed: collections.Counter[str] = collections.Counter()
ended: collections.Counter[str] = collections.Counter()
wrong: list[Any] = []
right = again = 0


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
            reason = type(error).__name__
        failed[reason] += 1
        if time.monotonic() > end:
            sys.exit(f"{method} {path}: no answer for two minutes, {dict(failed)}")
        await asyncio.sleep(0.2)


async def one(client: httpx.AsyncClient, gate: asyncio.Semaphore, number: int) -> None:
    global right, again
    id = f"suite-{run}-{number:06d}"
    async with gate:
        if rate:
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        await ask(client, "PUT", f"/v1/jobs/{id}", json={"model": model, "inputs": [[float(number)]]})
    async with gate:
        while True:
            job = await ask(client, "GET", f"/v1/jobs/{id}?wait=20")
            if job["state"] in ("succeeded", "failed", "cancelled", "expired"):
                break
    ended[job["state"]] += 1
    again += job["attempt"] > 1
    if job["state"] == "succeeded":
        if job["result"] == [number * factor + 1]:
            right += 1
        else:
            wrong.append([number, job["result"]])
    else:
        wrong.append([number, job.get("error")])


async def main() -> None:
    gate = asyncio.Semaphore(48)
    async with httpx.AsyncClient(base_url=api, timeout=40, limits=httpx.Limits(max_connections=48)) as client:
        await asyncio.gather(*(one(client, gate, number) for number in range(jobs)))


begun = time.monotonic()
asyncio.run(main())
told = {
    "right": right,
    "wrong": wrong[:5],
    "ended": dict(ended),
    "again": again,
    "failed": dict(failed),
    "seconds": time.monotonic() - begun,
}
print(json.dumps(told))

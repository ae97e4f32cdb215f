"""A caller who sends questions, sends again what was not accepted, and looks at every outcome more than once."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import Final

from tests.chaos.asking import Answer, ask, lines
from tests.chaos.ledger import Entry, Ledger
from tests.chaos.processes import until
from tests.chaos.questions import METHOD, Question

_RESEND_S: Final = 60.0
_CALLERS: Final = 64
_READERS: Final = 4
_WATCHED: Final = 50
"""Of so many jobs one is watched by server-sent events."""


class Traffic:
    """`urls` is the live list of API processes. Enter it to start the readers."""

    def __init__(self, urls: Sequence[str], ledger: Ledger, seed: str) -> None:
        self._urls = urls
        self._ledger = ledger
        self._chance = random.Random(seed)
        self._seed = f"{seed} {time.time_ns():x}"
        self._sent = 0
        self._unread: asyncio.Queue[Entry] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._callers = asyncio.Semaphore(_CALLERS)

    async def __aenter__(self) -> Traffic:
        self._tasks = [asyncio.create_task(self._read()) for _ in range(_READERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, questions: Sequence[Question], seconds: float) -> None:
        """All of them, spread over about `seconds`: some alone, most in bursts that the API can join."""
        left, bursts = list(questions), []
        while left:
            count = self._chance.choice((1, 1, 5, 20, 40))
            bursts.append(left[:count])
            del left[:count]
        began, sending = time.monotonic(), []
        for at, burst in enumerate(bursts):
            await asyncio.sleep(max(0.0, began + seconds * at / len(bursts) - time.monotonic()))
            sending += [asyncio.create_task(self.submit(question)) for question in burst]
        await asyncio.gather(*sending)

    async def submit(self, question: Question) -> None:
        """Until it is accepted; what was refused or not answered is sent again, with the same key."""
        self._sent += 1
        key, body = f'"{self._seed} {self._sent}"', {"model": question.model, "inputs": [question.row], "method": METHOD}
        asked_at, end = time.time(), time.monotonic() + _RESEND_S
        while time.monotonic() < end:
            try:
                async with self._callers:
                    answer = await ask("POST", f"{self._url()}/v1/jobs", body, {"idempotency-key": key})
            except OSError:
                await asyncio.sleep(0.1)
                continue
            if answer.status in (200, 202):
                entry = Entry(answer.json()["id"], question, asked_at)
                self._ledger.entries[entry.id] = entry
                self._unread.put_nowait(entry)
                if len(self._ledger.entries) % _WATCHED == 0:
                    self._tasks.append(asyncio.create_task(self._watch(entry)))
                return
            self._note("POST", answer)
            await asyncio.sleep(self._chance.uniform(0.1, 0.5))
        self._ledger.notes.append(f"nobody accepted a job for {_RESEND_S:g} s")

    async def settle(self, seconds: float) -> None:
        """Waits until every accepted job has ended, at most `seconds`; then reads each once more, from another process."""

        async def all_ended() -> bool:
            return all(entry.ended for entry in self._ledger.entries.values())

        with suppress(TimeoutError):
            await until(all_ended, seconds, "the end of every job")
        await asyncio.gather(*(self._look(entry) for entry in self._ledger.entries.values()))

    async def _read(self) -> None:
        while True:
            entry = await self._unread.get()
            if not await self._look(entry, wait=1):
                self._unread.put_nowait(entry)
                await asyncio.sleep(0.05)

    async def _look(self, entry: Entry, wait: int = 0) -> bool:
        try:
            async with self._callers if not wait else nullcontext():
                answer = await ask("GET", f"{self._url()}/v1/jobs/{entry.id}?wait={wait}")
        except OSError:
            return False
        if answer.status == 200:
            entry.see(answer.json())
        else:
            self._note("GET", answer)
        return entry.ended

    async def _watch(self, entry: Entry) -> None:
        with suppress(OSError):
            async for line in lines(f"{self._url()}/v1/jobs/{entry.id}/events"):
                if line.startswith("data: "):
                    entry.see(json.loads(line[6:]))

    def _note(self, method: str, answer: Answer) -> None:
        if answer.status in (429, 503) and answer.kind == "application/problem+json":
            self._ledger.refusals[answer.json()["detail"][:120]] += 1
        else:
            self._ledger.unclean.append(f"{method} was answered {answer.status}: {answer.body[:300].decode()}")

    def _url(self) -> str:
        return self._chance.choice(self._urls)

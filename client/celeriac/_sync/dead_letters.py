"""Dead letters: jobs that failed for good, kept with their input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celeriac._sync.jobs import Job
from celeriac._sync.resource import Resource, Record, Records
from celeriac._rows import rows_of


class DeadLetters(Resource):
    """`client.dead_letters`.

    `model`, `error` (a code), `after` and `before` (RFC 3339 timestamps) and `fingerprint` (of a group) select dead letters.
    """

    def list(
        self,
        *,
        model: str | None = None,
        error: str | None = None,
        after: str | None = None,
        before: str | None = None,
        fingerprint: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Record]:
        """Dead letters, the newest first: all that are selected, or at most `limit`."""
        for record in self._pages(
            "/v1/dead-letters", limit, model=model, error=error, after=after, before=before, fingerprint=fingerprint
        ):
            yield record

    def groups(
        self,
        *,
        model: str | None = None,
        error: str | None = None,
        after: str | None = None,
        before: str | None = None,
    ) -> Records:
        """Dead letters by their cause, the most frequent first: `fingerprint`, `exception`, `frame`, `count` and more."""
        response: Record = self._transport.get("/v1/dead-letters/groups", model=model, error=error, after=after, before=before)
        return list(response["items"])

    def get(self, id: str) -> Record:
        """One dead letter with input, error, traceback and attempts. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/dead-letters/{id}")
        return record

    def replay(self, id: str, *, model: str | None = None, rows: Any = None) -> Job:
        """Submit the input again, optionally to another model reference or with other rows."""
        body: Record = {"model": model} if model else {}
        if rows is not None:
            body["inputs"] = rows_of(rows)
        return Job(self._transport, self._transport.post(f"/v1/dead-letters/{id}/replay", body))

    def replay_all(
        self,
        *,
        model: str | None = None,
        error: str | None = None,
        after: str | None = None,
        before: str | None = None,
        fingerprint: str | None = None,
        all: bool = False,
        to: str | None = None,
    ) -> Record:
        """Submit every selected dead letter again, optionally to the model reference `to`.

        `all=True` selects every dead letter. Returns `{"jobs": …, "refused": …}`.
        """
        body: Record = {"model": to} if to else {}
        cursor: str | None = None
        jobs: Records = []
        refused: Records = []
        while True:
            page = self._transport.post(
                "/v1/dead-letters/replay",
                body,
                model=model,
                error=error,
                after=after,
                before=before,
                fingerprint=fingerprint,
                all=all or None,
                cursor=cursor,
            )
            jobs += page["jobs"]
            refused += page["refused"]
            cursor = page["next"]
            if not cursor:
                return {"jobs": jobs, "refused": refused}

    def discard(self, id: str) -> None:
        """Delete a dead letter."""
        self._transport.delete(f"/v1/dead-letters/{id}")

    def discard_all(
        self,
        *,
        model: str | None = None,
        error: str | None = None,
        after: str | None = None,
        before: str | None = None,
        fingerprint: str | None = None,
        all: bool = False,
    ) -> int:
        """Delete every selected dead letter, or with `all=True` all of them. Returns how many."""
        cursor: str | None = None
        count = 0
        while True:
            page = self._transport.delete(
                "/v1/dead-letters",
                model=model,
                error=error,
                after=after,
                before=before,
                fingerprint=fingerprint,
                all=all or None,
                cursor=cursor,
            )
            count += int(page["discarded"])
            cursor = page["next"]
            if not cursor:
                return count

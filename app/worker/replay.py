"""Replay captured rows: another version predicts them again, and the result says what would change."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from app.core.errors import CeleriacError
from app.core.handlers import Context
from app.core.replays import Replay, ReplayReport
from app.data import replaying
from app.store.files import captures


def run(spec: dict[str, Any], context: Context) -> dict[str, Any]:
    """Predict the rows of all files of a period, the oldest first, up to the limit. Returns the report."""
    replay, report = Replay.from_dict(spec), ReplayReport()
    model, stored = context.model(replay.model, replay.to), captures()
    since, until = (datetime.fromtimestamp(time, UTC) for time in (replay.since, replay.until))
    files = stored.files(replay.model, replay.version or None, since, until)
    for at, file in enumerate(files):
        left = replay.limit - report.rows - report.failed
        if left <= 0 or not context.wanted():
            break
        # A file may have expired meanwhile.
        with suppress(FileNotFoundError):
            rows = replaying.rows_between(stored.read(file), replay.since, replay.until, left)
            if rows.num_rows:
                try:
                    report.add(replaying.compare(rows, model.manifest, model.predict))
                except CeleriacError as error:
                    report.fail(rows.num_rows, error.detail)
        context.progress((at + 1) / len(files), f"{report.rows} rows")
    return {"model": replay.model, "to": replay.to, **report.as_dict()}

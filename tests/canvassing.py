"""Tasks as people write them beside ours, and canvas of them. Workers import it by CELERIAC_IMPORTS."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, group

from app.canvas import app, predict
from app.core.errors import CeleriacError


@app.task(ignore_result=False)
def vote(answers: list[list[Any]]) -> list[Any]:
    return [max(set(row), key=row.count) for row in zip(*answers, strict=True)]


@app.task(ignore_result=False)
def count(answers: list[Any]) -> int:
    return len(answers)


def main(rows: list[Any]) -> dict[str, Any]:
    try:
        predict.s([[1, 2]], model="digits").delay().get(timeout=60)
        error = None
    except CeleriacError as raised:
        error = [type(raised).__name__, raised.detail]
    return {
        "alone": predict.s(rows, model="digits@production").delay().get(timeout=60),
        "chain": chain(predict.s(rows, model="digits"), count.s()).delay().get(timeout=60),
        "group": group(predict.s([row], model="digits") for row in rows).delay().get(timeout=60),
        "chord": chord((predict.s(rows, model=name) for name in ("digits", "digits@1", "digits@production")), vote.s())().get(timeout=60),
        "error": error,
    }

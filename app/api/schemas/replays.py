"""Replays of captured rows."""

from __future__ import annotations

from typing import Final

from app.api.schemas import jobs
from app.api.schemas.inference import Name
from app.api.schemas.openapi import documented
from app.services.requests.replays import ReplayRequest


class ReplayJob(jobs.Job):
    """A replay as a job. Its result has the rows that were predicted again, those that failed, the share that agrees, the largest difference, and pairs of answers."""


def _submit(name: Name, body: ReplayRequest) -> None: ...


SUBMIT: Final = documented(
    _submit,
    ReplayJob,
    status_code=202,
    response_description="The replay is durable.",
    responses={202: {"headers": jobs.LOCATION | jobs.LATER}},
)

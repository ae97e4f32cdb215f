"""Encoding and decoding the record of a job, which is a Redis hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from app.core import attempts
from app.core.api_keys import DEFAULT_OWNER
from app.core.errors import CeleriacError
from app.core.jobs import Job, Progress, State
from app.core.tiers import Tier
from app.core.traces import TraceContext
from app.core.webhooks import Event, JobWebhook

FIELDS: Final = tuple(
    b"spec state delivery webhook parent progress logs traceback created_at expires_at attempt position queue revision streamed "
    b"started_at finished_at worker error owner concurrency held reason trace share cost tries ends".split()
)
"""The fields of a record that `decode` reads, except the result."""


def encode_spec(
    model: str,
    version: str,
    outputs: Sequence[str],
    rows: int,
    fingerprint: str,
    work: str = "",
    request: dict[str, Any] | None = None,
    tier: Tier = Tier.DEFAULT,
) -> bytes:
    """Encode the part of a record that never changes. `work` names a kind of task other than a prediction; `request` is then its request."""
    optional = [work, request, tier] if tier is not Tier.DEFAULT else [work, request] if work else []
    return orjson.dumps([model, version, outputs, rows, fingerprint, *optional])


def model_of(spec: bytes) -> tuple[str, str]:
    """Return the name and the version of the model in an encoded spec."""
    model, version, *_ = orjson.loads(spec)
    return model, version


def encode_error(error: CeleriacError) -> bytes:
    """Encode the error of a failed job."""
    return orjson.dumps(error.as_dict())


def encode_progress(progress: Progress) -> bytes:
    """Encode the progress of a running job."""
    return orjson.dumps([progress.fraction, progress.text])


def encode_webhook(webhook: JobWebhook | None) -> bytes:
    """Encode the webhook that a job brings along; empty if there is none."""
    return b"" if webhook is None else orjson.dumps([webhook.url, webhook.events])


def decode_webhook(text: bytes) -> JobWebhook | None:
    """Decode the webhook that a job brought along, or return None."""
    if not text:
        return None
    url, events = orjson.loads(text)
    return JobWebhook(url, tuple(map(Event, events)))


def decode(id: str, fields: Mapping[bytes, bytes]) -> Job | None:
    """Return the job, or None if the record does not exist."""
    if b"spec" not in fields:
        return None
    model, version, outputs, rows, fingerprint, *more = orjson.loads(fields[b"spec"])
    return Job(
        id=id,
        state=State(fields[b"state"].decode()),
        model=model,
        version=version,
        outputs=tuple(outputs),
        rows=rows,
        fingerprint=fingerprint,
        delivery=fields[b"delivery"].decode(),
        webhook=decode_webhook(fields.get(b"webhook", b"")),
        work=more[0] if more else "",
        request=more[1] if len(more) > 1 else None,
        tier=Tier(more[2]) if len(more) > 2 else Tier.DEFAULT,
        parent=fields.get(b"parent", b"").decode(),
        progress=Progress(*orjson.loads(fields[b"progress"])) if b"progress" in fields else None,
        logs=fields.get(b"logs", b"").decode(errors="replace"),
        traceback=fields.get(b"traceback", b"").decode(errors="replace"),
        created_at=float(fields[b"created_at"]),
        expires_at=float(fields[b"expires_at"]),
        attempt=int(fields[b"attempt"]),
        position=int(fields[b"position"]),
        queue=fields[b"queue"].decode(),
        revision=int(fields[b"revision"]),
        streamed=int(fields.get(b"streamed", 0)),
        started_at=_number(fields, b"started_at"),
        finished_at=_number(fields, b"finished_at"),
        worker=fields[b"worker"].decode() if b"worker" in fields else None,
        result=fields.get(b"result"),
        error=orjson.loads(fields[b"error"]) if b"error" in fields else None,
        owner=owner_of(fields.get(b"owner")),
        concurrency=fields.get(b"concurrency", b"").decode(),
        held=bool(fields.get(b"held")),
        reason=fields.get(b"reason", b"").decode(),
        trace=TraceContext.decode(fields[b"trace"].decode()) if b"trace" in fields else None,
        share=_number(fields, b"share"),
        cost=_number(fields, b"cost"),
        attempts=attempts.parse(fields.get(b"tries", b"").decode(), fields.get(b"ends", b"").decode()),
    )


def owner_of(field: bytes | None) -> str:
    """Return the owner in the field of a record. Records of earlier releases have none: they belong to the default owner."""
    return field.decode() if field else DEFAULT_OWNER


def _number(fields: Mapping[bytes, bytes], name: bytes) -> float | None:
    return float(fields[name]) if name in fields else None

"""Tables whose rows `POST /v1/jobs/table` predicts: the parameters of the request and its documentation."""

from __future__ import annotations

from typing import Annotated, Final, Self

from fastapi import Query
from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator
from starlette.requests import Request

from app.api.schemas.jobs import SUBMITTED, IdempotencyKey, Job, Prefer
from app.api.schemas.openapi import documented
from app.api.schemas.queries import Boolean, Integer, Number, RequestQuery
from app.core.concurrency import MAX_LIMIT, OnFull
from app.core.tiers import Tier
from app.services.requests.body import refused
from app.services.requests.jobs import AT_MOST, KEY_IS, LIMIT_IS, ON_FULL_IS, TIER, ConcurrencyKey, Key, ServiceTier
from app.services.requests.models import Reference
from app.services.requests.tables import TableBody
from app.services.requests.webhooks import JobWebhook

TABLES: Final = ("text/csv", "application/jsonl", "application/x-ndjson", "application/vnd.apache.parquet", "application/octet-stream")
Receiver = Annotated[JobWebhook, BeforeValidator(lambda url: {"url": url}), WithJsonSchema({"type": "string"})]


class TableQuery(RequestQuery, TableBody):
    """What to predict for the rows of the body, and how to read them."""

    model: Reference
    method: str | None = Field(
        None, description="The output to compute, for example predict or predict_proba (default: the model's first)."
    )
    columns: list[str] | None = Field(
        None, description="Columns in the order of the model's inputs (default: matched by name, else by position). Repeatable."
    )
    header: Boolean | None = Field(
        None, description="CSV: whether the first line names the columns. By default it does, and must not contain numbers."
    )
    deadline_s: Annotated[Number, Field(gt=0)] | None = Field(
        None, description=f"Seconds that the job may wait for a worker before it expires. {AT_MOST}"
    )
    service_tier: ServiceTier = Field(Tier.DEFAULT, description=TIER)
    webhook: Receiver | None = Field(None, description="URL to notify when the job has ended.")
    concurrency_key: Key | None = Field(None, description=KEY_IS)
    concurrency_limit: Annotated[Integer, Field(ge=1, le=MAX_LIMIT)] | None = Field(None, description=f"{LIMIT_IS} 1 by default.")
    on_full: Annotated[OnFull, Field(strict=False)] | None = Field(None, description=f"{ON_FULL_IS} `queue` by default.")
    wait: Annotated[Number, Field(ge=0)] | None = Field(
        None, description="Seconds to hold the answer until the job has ended; the server bounds them."
    )

    @field_validator("concurrency_limit", "on_full")
    @classmethod
    def _has_a_key(cls, value: object, given: ValidationInfo) -> object:
        """Refuse what has no meaning without a concurrency key."""
        if value is not None and given.data.get("concurrency_key", "") is None:
            raise refused(f"{given.field_name} limits the jobs of a concurrency key. Give concurrency_key, too.")
        return value

    @property
    def concurrency(self) -> ConcurrencyKey | None:
        """The concurrency key of the job, as in the body of `POST /v1/jobs`."""
        if self.concurrency_key is None:
            return None
        return ConcurrencyKey(key=self.concurrency_key, limit=self.concurrency_limit or 1, on_full=self.on_full or OnFull.QUEUE)

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the parameters of a request. Raises the errors of `parse`."""
        query = request.query_params
        return cls.parse({**query, **{name: query.getlist(name) for name in ("columns", "na_values") if name in query}})


def _table(query: Annotated[TableQuery, Query()], prefer: Prefer = None, idempotency_key: IdempotencyKey = None) -> None: ...


TABLE: Final = documented(
    _table,
    Job,
    **SUBMITTED,
    openapi_extra={
        "requestBody": {"required": True, "content": {type: {"schema": {"type": "string", "format": "binary"}} for type in TABLES}}
    },
)

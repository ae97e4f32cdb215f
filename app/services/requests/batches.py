"""Bodies of /v1/batches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from app.core.api_keys import OWNER, OWNER_FORM
from app.core.models import ALIAS, NAME, VERSION
from app.services.requests.body import Integer, Pattern, RequestBody, refused
from app.services.requests.models import Reference
from app.services.requests.tables import TableBody
from app.services.requests.webhooks import OptionalWebhook

_WINDOW: Final = re.compile(
    "([1-9][0-9]{0,5}|1[0-9]{6}|2[0-4][0-9]{5}|25[0-8][0-9]{4}|259[01][0-9]{3}|2592000)s"
    "|([1-9][0-9]{0,3}|[1-3][0-9]{4}|4[0-2][0-9]{3}|43[01][0-9]{2}|43200)m"
    "|([1-9][0-9]?|[1-6][0-9]{2}|7[01][0-9]|720)h"
    "|([1-9]|[12][0-9]|30)d"
)
"""A duration of at most 30 days, so that the OpenAPI document states the maximum, too."""
_OWNER: Final = re.compile(f"({OWNER.pattern})?")
"""Also matches an empty string, which the command line of earlier releases sends without an owner."""
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ENDPOINT: Final = re.compile(f"/v1/jobs|/v2/models/{NAME.pattern}((@|/versions/)({VERSION.pattern}|{ALIAS.pattern}))?/infer")


def _columns(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        raise refused("Use a list of the file's columns, or an object from the model's columns to the file's.") from None


class ExpiresAfter(RequestBody):
    """When the output is removed."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Integer = Field(
        ge=1, description="At most `CELERIAC_FILE_TTL_S` of the server, which is 2592000 (30 days) by default.", examples=[86400]
    )


class _Common(RequestBody):
    completion_window: Annotated[str, Pattern(_WINDOW, "Use a duration such as 24h or 90m, up to 30d.")] = Field(
        "24h", description="Time until the batch expires, for example 24h or 90m. At most 30d."
    )
    metadata: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]] | None = Field(
        None, max_length=16, description="At most 16 strings that are returned with the batch."
    )
    output_expires_after: ExpiresAfter | None = Field(
        None, description="When the output is removed (default: after `CELERIAC_FILE_TTL_S`)."
    )
    webhook: OptionalWebhook = None
    owner: Annotated[str, Pattern(_OWNER, OWNER_FORM)] | None = Field(
        None,
        description="Owner of the batch. Owners take turns. With API keys it is the owner of the key; only a key with the scope `admin` may name another one.",
    )

    @property
    def window_s(self) -> int:
        """The completion window in seconds."""
        return int(self.completion_window[:-1]) * _UNITS[self.completion_window[-1]]


class TableBatch(_Common, TableBody):
    """A table to predict: CSV, JSONL, NPY or Parquet."""

    model: Reference = Field(description="`name`, `name@alias` or `name@version`. The version is fixed when the batch is created.")
    input: str = Field(
        description="The id of an uploaded file, a path below an allowed root, or a URL of an allowed scheme.", examples=["rows.csv"]
    )
    output: str | None = Field(None, description="A path or URL (default: a new file).")
    method: str | None = Field(None, description="The output to compute (default: the model's first).")
    columns: Annotated[list[str] | dict[str, str], WrapValidator(_columns)] | None = Field(
        None, description="The file's columns in the model's order, or by the model's names (default: the same names)."
    )
    keep: list[str] | None = Field(
        None, fail_fast=True, description="The columns that are copied to the output (default: all that the model does not take)."
    )
    format: Literal["csv", "jsonl", "npy", "parquet"] | None = Field(None, description="Format of the output (default: that of the input).")


class RequestBatch(_Common):
    """A file of requests, as OpenAI's SDK makes it."""

    input_file_id: str = Field(
        description="An uploaded JSONL file of `{custom_id, method, url, body}`.", examples=["file-01938d2c5f3a7be1c04d5a6f7e8091a2"]
    )
    endpoint: Annotated[str, Pattern(_ENDPOINT, "Use /v2/models/NAME/infer, or /v1/jobs if each request names its model.")] = Field(
        description="/v2/models/NAME/infer or /v1/jobs. The `url` of each request must be the same.", examples=["/v2/models/digits/infer"]
    )

    @property
    def model(self) -> str:
        """The reference to the model that the endpoint names, or an empty string for /v1/jobs."""
        return "@".join(self.endpoint.split("/")[3::2])


def parse_batch(body: Mapping[str, Any]) -> TableBatch | RequestBatch:
    """Return the batch that a body describes: of requests if it has a field of OpenAI's, else of a table.

    Raises:
        InvalidInput: A field is unknown, missing or invalid.
    """
    return (RequestBatch if "input_file_id" in body or "endpoint" in body else TableBatch).parse(body)

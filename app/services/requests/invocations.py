"""Bodies of /invocations, in the forms of MLflow's scoring server and of Vertex AI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, WithJsonSchema

from app.core.columnar_inputs import from_columns, from_frame
from app.core.errors import InvalidInput
from app.core.inputs import from_rows
from app.core.models import Manifest
from app.core.prediction_requests import PredictionRequest
from app.core.tensors import Tensor
from app.services.requests.body import RequestBody
from app.services.requests.jobs import Rows

# fmt: off
_DIABETES: Final[Any] = [0.038, 0.051, 0.062, 0.022, -0.044, -0.035, -0.043, -0.003, 0.02, -0.018]
# fmt: on
_PARAMETERS: Final = (
    "`method` is the output to compute, for example predict_proba. `timeout` is in microseconds. `priority` 1 is the service tier priority. "
    "Others are ignored."
)
Parameters = Annotated[dict[str, Any], Field(description=_PARAMETERS)]
Columns = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "array", "minItems": 1}, {"type": "object", "minProperties": 1}]})]
"""A list for each column by its name, or the values of the only input. The manifest of a model validates them."""


class DataFrame(RequestBody):
    """A data frame, as pandas writes it with `to_dict("split")`."""

    columns: list[Annotated[Any, WithJsonSchema({"type": ["string", "integer"]})]] = Field(
        min_length=1, description="Names of the columns. Numbers mean the columns of the model by position.", examples=[["height", "width"]]
    )
    data: list[Annotated[Any, WithJsonSchema({"type": "array"})]] = Field(
        min_length=1, description="Rows, with a value for each column.", examples=[[[1.5, 2.0]]]
    )
    index: list[Any] | None = Field(None, description="Ignored.")


class Invocation(RequestBody):
    """Rows to predict, in exactly one of four forms."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"instances": [_DIABETES]}, {"dataframe_split": {"columns": [*range(10)], "data": [_DIABETES]}}],
            "oneOf": [{"required": [form]} for form in ("dataframe_split", "dataframe_records", "instances", "inputs")],
        }
    )

    dataframe_split: DataFrame | None = Field(None, description="A data frame by columns and rows.")
    dataframe_records: Rows | None = Field(None, description="A data frame as records by column name.")
    instances: Rows | None = Field(
        None, description="Rows: a list of values each, a record by column name, or the value of the only input."
    )
    inputs: Columns | None = Field(None, description="A list for each column by its name, or the values of the only input.")
    params: Parameters | None = None
    parameters: Parameters | None = Field(None, description=f"The same as `params`, as Vertex AI names them. {_PARAMETERS}")

    def requested(self, manifest: Manifest) -> PredictionRequest:
        """Return the request for a prediction.

        Raises:
            InvalidInput: A field is invalid, or the body has not exactly one of the four forms.
            InvalidTensor: The rows do not match the manifest.
        """
        field = "params" if self.params is not None else "parameters"
        parameters: Mapping[str, Any] | None = getattr(self, field)
        return PredictionRequest.of(manifest, self._tensors(manifest), parameters, f"/{field}")

    def _tensors(self, manifest: Manifest) -> list[Tensor]:
        forms: dict[str, tuple[Any, Callable[[Manifest, Any, str], list[Tensor]]]] = {
            "dataframe_split": (self.dataframe_split, _from_split),
            "dataframe_records": (self.dataframe_records, from_rows),
            "instances": (self.instances, from_rows),
            "inputs": (self.inputs, from_columns),
        }
        given = [name for name, (value, _) in forms.items() if value is not None]
        if len(given) != 1:
            raise InvalidInput(f"The body has {' and '.join(given) or 'no rows'}. Give exactly one of {', '.join(forms)}.", pointer="")
        value, convert = forms[given[0]]
        return convert(manifest, value, f"/{given[0]}")


def _from_split(manifest: Manifest, frame: DataFrame, pointer: str) -> list[Tensor]:
    return from_frame(manifest, frame.columns, frame.data, pointer)

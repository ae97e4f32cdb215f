"""Bodies of /v1/models/{name}:predict, in the form of KServe V1 and TensorFlow Serving."""

from __future__ import annotations

from typing import Any, Final

from pydantic import ConfigDict, Field

from app.core.columnar_inputs import from_columns
from app.core.errors import InvalidInput
from app.core.inputs import from_rows
from app.core.models import Manifest
from app.core.prediction_requests import PredictionRequest, outputs_of
from app.services.requests.body import RequestBody
from app.services.requests.invocations import Columns, Parameters
from app.services.requests.jobs import Rows

_DEFAULT_SIGNATURE: Final = "serving_default"
_SIGNATURE: Final = "The output to compute, for example predict_proba (default: `serving_default`, the model's default)."


class V1Prediction(RequestBody):
    """Rows to predict, as rows or by column."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"instances": [[0, 3], [0, 4]]},
                {"signature_name": "predict_proba", "inputs": {"height": [1, 3], "width": [2, 4]}},
            ],
            "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
        }
    )

    instances: Rows | None = Field(
        None, description="Rows: a list of values each, a record by column name, or the value of the only input."
    )
    inputs: Columns | None = Field(None, description="A list for each column by its name, or the values of the only input.")
    signature_name: str | None = Field(None, description=_SIGNATURE)
    parameters: Parameters | None = None

    @property
    def by_column(self) -> bool:
        """Whether the response has `outputs` instead of `predictions`."""
        return self.inputs is not None

    def requested(self, manifest: Manifest) -> PredictionRequest:
        """Return the request for a prediction.

        Raises:
            InvalidInput: A field is invalid, or the body has not exactly one of the two forms.
            InvalidTensor: The rows do not match the manifest.
        """
        if (self.instances is None) is (self.inputs is None):
            raise InvalidInput("Give exactly one of instances and inputs.", pointer="")
        tensors = from_columns(manifest, self.inputs) if self.by_column else from_rows(manifest, self.instances, "/instances")
        parameters: dict[str, Any] = dict(self.parameters or {})
        if self.signature_name not in (None, _DEFAULT_SIGNATURE):
            outputs_of(manifest, self.signature_name, "/signature_name")
            parameters["method"] = self.signature_name
        return PredictionRequest.of(manifest, tensors, parameters)

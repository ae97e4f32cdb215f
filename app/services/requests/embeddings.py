"""The body of /v1/embeddings, in the form of OpenAI's API."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, WithJsonSchema

from app.core.embeddings import embedding_output
from app.core.errors import InvalidInput
from app.core.inputs import from_rows
from app.core.models import Manifest
from app.core.prediction_requests import PredictionRequest
from app.core.tiers import Tier
from app.services.requests.body import Integer, RequestBody
from app.services.requests.models import Reference

MOST_TEXTS: Final = 2048
"""As in OpenAI's API."""
_TEXTS: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_TEXTS}]}


class EmbeddingRequest(RequestBody):
    """Texts to embed."""

    model: Reference
    input: Annotated[Any, WithJsonSchema(_TEXTS)] = Field(
        description=f"A text, or a list of at most {MOST_TEXTS} texts. Token IDs are refused.", examples=["the quick brown fox"]
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="`base64` is that of 32-bit floating-point numbers, little-endian."
    )
    dimensions: Annotated[Integer, Field(ge=1)] | None = Field(None, description="Must be the number of dimensions that the model has.")
    user: str | None = Field(None, description="Ignored.")
    service_tier: Literal["default", "priority"] = Field(
        "default", description="The service tier. priority needs the scope `predict:priority`."
    )

    def requested(self, manifest: Manifest) -> PredictionRequest:
        """Return the request for a prediction.

        Raises:
            InvalidInput: A field is invalid, or the model has no embeddings.
            InvalidTensor: The model does not take one of the texts.
        """
        output = embedding_output(manifest)
        width = output.shape[1]
        if self.dimensions is not None and self.dimensions != width:
            has = (
                f"{manifest.name!r} has embeddings of {width} dimensions"
                if width > 0
                else f"{manifest.name!r} does not declare its dimensions"
            )
            raise InvalidInput(f"{has}, and cannot shorten them. Omit dimensions.", pointer="/dimensions")
        return PredictionRequest(from_rows(manifest, self._texts(), "/input"), (output.name,), tier=Tier(self.service_tier))

    def _texts(self) -> list[str]:
        texts = [self.input] if isinstance(self.input, str) else self.input
        if not isinstance(texts, list) or not 1 <= len(texts) <= MOST_TEXTS:
            raise InvalidInput(f"Field input must be a text or a list of 1 to {MOST_TEXTS} texts.", pointer="/input")
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise InvalidInput(
                    "Field input must hold texts. This server has no tokens: send the text itself.", pointer=f"/input/{index}"
                )
        return texts

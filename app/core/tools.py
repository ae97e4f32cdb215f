"""Models as tools of language models: the JSON Schema of what they take, and an example."""

from __future__ import annotations

from typing import Any, Final

from app.core.models import Manifest, TensorSpec
from app.core.protocol import nested
from app.core.tensors import FLOATS, TIMESTAMP

_MOST_VALUES: Final = 64
"""Values of a row that an example shows. An image would fill the context of the language model."""
_TYPES: Final = {"BOOL": "boolean", "BYTES": "string", TIMESTAMP: "string"}


def input_schema(manifest: Manifest) -> dict[str, Any]:
    """Return the JSON Schema of the arguments: `rows`, and the output to compute as `method`."""
    rows: dict[str, Any] = {"type": "array", "minItems": 1, "items": row_schema(manifest), "description": "Rows to predict."}
    if (row := example_row(manifest)) is not None:
        rows["examples"] = [[row]]
    method = {
        "type": "string",
        "enum": [spec.name for spec in manifest.outputs],
        "description": "Output to compute. By default the model chooses.",
    }
    return {"type": "object", "properties": {"rows": rows, "method": method}, "required": ["rows"], "additionalProperties": False}


def row_schema(manifest: Manifest) -> dict[str, Any]:
    """Return the JSON Schema of one row: an object by column, or the value of the only input if it has no columns."""
    first, *more = manifest.inputs
    if more:
        columns = {spec.name: (_value_schema(spec), spec.nullable) for spec in manifest.inputs}
    elif first.columns and len(first.shape) == 2:
        columns = {name: (_scalar_schema(first), first.nullable) for name in first.columns}
    else:
        return _value_schema(first)
    return {
        "type": "object",
        "properties": {name: schema for name, (schema, _) in columns.items()},
        "required": [name for name, (_, nullable) in columns.items() if not nullable],
        "additionalProperties": False,
    }


def example_row(manifest: Manifest) -> Any:
    """Return the first row of the golden sample, as `row_schema` describes it, or None if there is none or it is large."""
    golden = manifest.golden
    if golden is None:
        return None
    values = {}
    for spec in manifest.inputs:
        width = len(golden.inputs[spec.name]) // golden.rows
        if width > _MOST_VALUES or sum(size == -1 for size in spec.shape) > 1:
            return None
        [values[spec.name]] = nested(spec.tensor(golden.inputs[spec.name][:width], (1, *spec.shape[1:])))
    first, *more = manifest.inputs
    if more:
        return values
    return dict(zip(first.columns, values[first.name], strict=True)) if first.columns and len(first.shape) == 2 else values[first.name]


def _value_schema(spec: TensorSpec) -> dict[str, Any]:
    schema = _scalar_schema(spec)
    for size in reversed(spec.shape[1:]):
        schema = {"type": "array", "items": schema} | ({"minItems": size, "maxItems": size} if size > 0 else {})
    return schema


def _scalar_schema(spec: TensorSpec) -> dict[str, Any]:
    kind = "number" if spec.datatype in FLOATS else _TYPES.get(spec.datatype, "integer")
    schema: dict[str, Any] = {"type": [kind, "null"] if spec.nullable else kind}
    if spec.datatype == TIMESTAMP:
        schema["description"] = "A date or a time in ISO 8601, for example 2026-01-31T09:30:00Z."
    return schema

"""JSON schemas of Kubernetes objects inside our values, made from the official Python client: no download, every field closed."""

from __future__ import annotations

import re
from typing import Any

from kubernetes import client

SCALARS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string"},
    # A port or a percentage: the client has no type for "integer or string".
    "object": {"type": ["integer", "string"]},
}


def closed_map(key: str, value: dict[str, Any], **more: dict[str, Any]) -> dict[str, Any]:
    """A map whose keys match `key`, or are those of `more`; errors then name the map that holds a wrong key."""
    return {"type": "object", "additionalProperties": False, "patternProperties": {f"^{key}$": value}} | (
        {"properties": more} if more else {}
    )


class KubernetesSchema:
    """Schemas by the client's class names. `quantities` is the schema of requests and limits.

    Example:
        >>> schema = KubernetesSchema({"type": "object"})
        >>> schema.reference("V1Toleration")
        {'$ref': '#/definitions/V1Toleration'}
    """

    def __init__(self, quantities: dict[str, Any]) -> None:
        self._definitions: dict[str, Any] = {}
        self._quantities = quantities

    def reference(self, kind: str) -> dict[str, Any]:
        if kind not in self._definitions:
            self._definitions[kind] = {}
            self._definitions[kind] |= self._object(kind)
        return {"$ref": f"#/definitions/{kind}"}

    def by_name(self, kind: str, *, named: bool = False) -> dict[str, Any]:
        """A map from names to objects of that kind. Unless `named`, the key is the name of the object, which then has no `name` of its own."""
        value = {"allOf": [self.reference(kind)]} | ({} if named else {"not": {"required": ["name"]}})
        return closed_map(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", value)

    def definitions(self) -> dict[str, Any]:
        return dict(sorted(self._definitions.items()))

    def _object(self, kind: str) -> dict[str, Any]:
        model = getattr(client, kind)
        fields = {model.attribute_map[name]: self._type(type_) for name, type_ in model.openapi_types.items()}
        if kind == "V1ResourceRequirements":
            fields |= {"limits": self._quantities, "requests": self._quantities}
        return {"type": "object", "additionalProperties": False, "properties": fields}

    def _type(self, name: str) -> dict[str, Any]:
        if match := re.fullmatch(r"[Ll]ist\[(.*)\]", name):
            return {"type": "array", "items": self._type(match[1])}
        if match := re.fullmatch(r"[Dd]ict[\[(]str, (.*)[\])]", name):
            return {"type": "object", "additionalProperties": self._type(match[1])}
        return SCALARS[name] if name in SCALARS else self.reference(name)

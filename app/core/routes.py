"""Where an alias leads: to its version, and for a share of the requests to a canary.

A canary is a newer version on trial. The hash of a key decides which requests it takes, so that the same key meets the same version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from app.core.errors import InvalidInput, shown
from app.core.models import VERSION, Manifest, TensorSpec
from app.core.rollouts import Rollout
from app.core.tensors import ITEM_SIZE, Tensor, elements, size_of

JOB: Final = "job"
OWNER: Final = "owner"
_FIELD: Final = "key:"
_POINTS: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Canary:
    """A version that takes `percent` of the requests for an alias.

    `by` says what the hash is of: `job` (its ID, so that each job is decided for itself), `owner`, or `key:FIELD`, the value of an input in
    the first row. `rollout` changes the share; without one it stays.
    """

    version: str
    percent: float
    by: str = JOB
    rollout: Rollout | None = None

    def __post_init__(self) -> None:
        """Check the fields. Raises InvalidInput."""
        if not isinstance(self.version, str) or not VERSION.fullmatch(self.version):
            raise InvalidInput(f"Invalid version {shown(self.version)} of a canary. Use a version, for example 3.", pointer="/version")
        if isinstance(self.percent, bool) or not isinstance(self.percent, int | float) or not 0 <= self.percent <= 100:
            raise InvalidInput(f"Invalid percent {shown(self.percent)} of a canary. Use a number from 0 to 100.", pointer="/percent")
        if self.by not in (JOB, OWNER) and not (isinstance(self.by, str) and self.by.startswith(_FIELD) and self.field):
            raise InvalidInput(f"Invalid by {shown(self.by)}. Use job, owner or key:FIELD, for example key:customer_id.", pointer="/by")

    @property
    def field(self) -> str:
        """The input whose value decides, or an empty text."""
        return self.by.removeprefix(_FIELD) if self.by.startswith(_FIELD) else ""

    def takes(self, key: bytes) -> bool:
        """Return whether the canary answers the requests with a key. A share that grows keeps the keys that it has."""
        digest = hashlib.blake2b(key, digest_size=8, salt=self.version.encode()[:16]).digest()
        return int.from_bytes(digest) * 100 < self.percent * _POINTS

    def as_dict(self) -> dict[str, Any]:
        """Return the canary as JSON."""
        rollout = {} if self.rollout is None else {"rollout": self.rollout.as_dict()}
        return {"version": self.version, "percent": self.percent, "by": self.by, **rollout}

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Raises ValueError or InvalidInput."""
        if not isinstance(data, Mapping) or not {"version", "percent"} <= data.keys() <= {"version", "percent", "by", "rollout"}:
            raise ValueError("a canary has the fields version and percent, and may have by and rollout")
        rollout = data.get("rollout")
        return cls(**{**data, "rollout": None if rollout is None else Rollout.from_dict(rollout)})


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that predicts again what the version of an alias has answered, for a share `rate` of its jobs, between 0 and 1."""

    version: str
    rate: float

    def __post_init__(self) -> None:
        """Check the fields. Raises InvalidInput."""
        if not isinstance(self.version, str) or not VERSION.fullmatch(self.version):
            raise InvalidInput(f"Invalid version {shown(self.version)} of a shadow. Use a version, for example 3.", pointer="/version")
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float) or not 0 < self.rate <= 1:
            raise InvalidInput(f"Invalid rate {shown(self.rate)} of a shadow. Use a number above 0, at most 1.", pointer="/rate")

    def takes(self, job: str) -> bool:
        """Return whether the shadow predicts a job again."""
        digest = hashlib.blake2b(job.encode(), digest_size=8, salt=b"shadow").digest()
        return int.from_bytes(digest) < self.rate * _POINTS

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Raises ValueError or InvalidInput."""
        if not isinstance(data, Mapping) or data.keys() != {"version", "rate"}:
            raise ValueError("a shadow has the fields version and rate")
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Route:
    """Where an alias leads."""

    version: str
    canary: Canary | None = None
    shadow: Shadow | None = None

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that workers hold for it."""
        return self.version, *(other.version for other in (self.canary, self.shadow) if other is not None)

    @property
    def rollout(self) -> str:
        """ID of the rollout that changes the canary's share, or an empty text."""
        return self.canary.rollout.id if self.canary is not None and self.canary.rollout is not None else ""

    def as_json(self) -> str | dict[str, Any]:
        """Return the version if it is alone, as in files of earlier releases, else an object."""
        canary = {} if self.canary is None else {"canary": self.canary.as_dict()}
        shadow = {} if self.shadow is None else {"shadow": asdict(self.shadow)}
        return {"version": self.version, **canary, **shadow} if canary or shadow else self.version

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Raises ValueError or InvalidInput."""
        if isinstance(data, str):
            return cls(data)
        fields = {"version", "canary", "shadow"}
        if not isinstance(data, Mapping) or not {"version"} <= data.keys() <= fields or not isinstance(data["version"], str):
            raise ValueError("an alias leads to a version, or to an object with the fields version, canary and shadow")
        canary, shadow = data.get("canary"), data.get("shadow")
        return cls(
            data["version"],
            None if canary is None else Canary.from_dict(canary),
            None if shadow is None else Shadow.from_dict(shadow),
        )


def mismatch(manifest: Manifest, canary: Manifest, by: str) -> str:
    """Return why a version cannot be the canary of another, or an empty text. Callers of the alias must not notice which one answers."""
    for side, ours, theirs in (("inputs", manifest.inputs, canary.inputs), ("outputs", manifest.outputs, canary.outputs)):
        if ours != theirs:
            return f"its {side} differ from those of {manifest.version}"
    if (manifest.classes, manifest.stream) != (canary.classes, canary.stream):
        return f"its {'classes' if manifest.classes != canary.classes else 'stream'} differ from those of {manifest.version}"
    if canary.golden is None:
        return "it has no golden sample. Publish it with a sample"
    field = by.removeprefix(_FIELD)
    if by.startswith(_FIELD) and _place(manifest.inputs, field) is None:
        names = [name for spec in manifest.inputs for name in spec.columns or (spec.name,)]
        return f"the model has no input {field!r}. Inputs: {', '.join(names)}"
    return ""


def value_of(field: str, specs: Sequence[TensorSpec], inputs: Sequence[Tensor]) -> bytes:
    """Return the value of an input in the first row, as the tensor holds it; empty if it is not there."""
    place = _place(specs, field)
    tensor = next((tensor for tensor in inputs if place and tensor.name == place[0]), None)
    if place is None or tensor is None or not tensor.rows:
        return b""
    length = size_of(tensor.shape[1:])
    wanted = slice(0, length) if place[1] is None else slice(place[1], place[1] + 1)
    if tensor.datatype == "BYTES":
        return b"".join(element or b"" for element in elements(tensor.data, length)[wanted])
    size = ITEM_SIZE[tensor.datatype]
    return bytes(tensor.data[wanted.start * size : wanted.stop * size])


def _place(specs: Sequence[TensorSpec], field: str) -> tuple[str, int | None] | None:
    """Return the tensor that holds a field, and its column there, if it is one of several."""
    for spec in specs:
        if spec.name == field:
            return spec.name, None
        if field in spec.columns:
            return spec.name, spec.columns.index(field)
    return None

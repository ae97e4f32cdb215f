"""A model, its versions and aliases, and the manifest that says what a version takes and gives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

from app.core.capture import Capture
from app.core.errors import InvalidInput
from app.core.pools import RESERVED_POOLS, reserved_pool
from app.core.profiles import Profile
from app.core.tensors import DECLARED, TIMESTAMP, Tensor, make

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
VERSION: Final = re.compile(r"[0-9][A-Za-z0-9._-]{0,62}")
ALIAS: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
PRODUCTION: Final = "production"
"""The alias that a request without a version asks for; without it, the newest version answers."""
POOL: Final = re.compile(r"[a-z0-9-]{1,40}")
DEFAULT_POOL: Final = "default"
"""Where a version runs that names no pool."""
NATIVE: Final = {"xgboost": "model.ubj", "lightgbm": "model.txt", "catboost": "model.cbm"}
"""Format of a boosting library, which has the name of the library -> artifact."""
PYTORCH: Final = {"pt2": "model.pt2", "torchscript": "model.pt"}
"""Format of a program of PyTorch -> artifact."""
FORMATS: Final = {"onnx": "model.onnx", **PYTORCH, "skops": "model.skops", "joblib": "model.joblib", **NATIVE}
"""Format -> artifact: the order in which a bare folder is looked through."""
PYTHON: Final = "python"
"""The format of a version that is code: `model.py`, and the files beside it."""
CODE: Final = "model.py"
RUNS_CODE: Final = ("joblib", *PYTORCH)
"""Formats that may run code from the file when it is loaded. PyTorch warns of its own: they hold pickles."""
MLMODEL: Final = "MLmodel"
"""File in a directory that MLflow has saved. It names the file with the model."""


def check_name(name: str) -> None:
    """Raise InvalidInput unless a model may have this name."""
    if not NAME.fullmatch(name):
        detail = f"{name!r} is not a valid model name. Use lowercase letters, digits, - and _, as in breast-cancer."
        raise InvalidInput(detail, pointer="/name")


def check_version(version: str) -> None:
    """Raise InvalidInput unless a version of a model may have this name."""
    if not VERSION.fullmatch(version):
        raise InvalidInput(f"{version!r} is not a valid version. Versions begin with a digit, as in 3 or 1.2.0.", pointer="/version")


def check_alias(alias: str) -> None:
    """Raise InvalidInput unless a model may have this alias."""
    if not ALIAS.fullmatch(alias):
        raise InvalidInput(
            f"{alias!r} is not a valid alias. Use lowercase letters, digits and -, for example production.", pointer="/alias"
        )


@dataclass(frozen=True, slots=True)
class ModelRef:
    """What a caller writes: `digits`, `digits@production` (an alias) or `digits@3` (a version)."""

    name: str
    version: str | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidInput unless it reads `name` or `name@alias-or-version`."""
        name, at, which = text.partition("@")
        if not NAME.fullmatch(name) or (at and not (VERSION.fullmatch(which) or ALIAS.fullmatch(which))):
            raise InvalidInput(
                f"Invalid model reference {text!r}. Use name, name@alias or name@version, for example digits@production.", pointer="/model"
            )
        if not at:
            return cls(name)
        return cls(name, version=which) if VERSION.fullmatch(which) else cls(name, alias=which)

    def __str__(self) -> str:
        """Return the reference as callers write it."""
        which = self.version or self.alias
        return f"{self.name}@{which}" if which else self.name


def references(value: Any) -> Iterator[str]:
    """Every text `name@version` in a value of JSON."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, str):
        name, at, version = value.partition("@")
        if at and NAME.fullmatch(name) and VERSION.fullmatch(version):
            yield value


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output: `shape` with -1 for a dimension that varies, the first of which counts rows.

    `columns` names the features of a two-dimensional input; `nullable` permits missing values (NaN, or null in JSON). `dtype` is the pandas
    type of the column that the estimator gets, NumPy's for the datatype by default; `categories` are those of the type "category".
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()
    nullable: bool = False
    dtype: str = ""
    categories: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        """Check the fields. Raises InvalidInput."""
        if self.datatype not in DECLARED:
            raise InvalidInput(f"{self.datatype!r} is not a datatype. Use one of {', '.join(DECLARED)}.", pointer="/datatype")
        if not self.shape or self.shape[0] != -1:
            raise InvalidInput(f"The shape of {self.name!r} must begin with -1, the rows.", pointer="/shape")

    @property
    def zoned(self) -> bool:
        """Whether its timestamps have an offset from UTC."""
        return "," in self.dtype

    @property
    def empty_is_missing(self) -> bool:
        """Whether an empty text means a missing value: in versions published before text had a type of its own, and in Python code."""
        return self.nullable and self.datatype == "BYTES" and not self.dtype

    def tensor(self, values: Sequence[Any], shape: tuple[int, ...]) -> Tensor:
        """Flat Python values, `None` for a missing one. Raises InvalidTensor with the index of the value."""
        zoned = self.zoned if self.datatype == TIMESTAMP else None
        return make(self.name, self.datatype, shape, values, nullable=self.nullable, zoned=zoned)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How far predictions of different callers are joined into one call of the model."""

    max_rows: int = 64
    max_bytes: int = 1 << 20
    max_wait_ms: float = 5.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts of a job in all, worker deaths included; between them a random time up to `backoff_s` * 2**n, at most `max_backoff_s`."""

    max_attempts: int = 3
    backoff_s: float = 0.5
    max_backoff_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Golden:
    """A sample with known answers, asked before a version is served: flat values by tensor name, in `rows` rows."""

    rows: int
    inputs: Mapping[str, list[Any]]
    outputs: Mapping[str, list[Any]]
    tolerance: float = 1e-6


@dataclass(frozen=True, slots=True)
class Manifest:
    """`model.json` of one immutable version. `outputs` names the methods that can be called.

    `framework` holds the versions of Python and of the libraries that it was trained with; `weights` are the files beside an
    ONNX graph that hold some of it; `reading` holds the table options that a training read its file with, which a batch takes as its own; `sha256` is of the artifact, or of all files where there are several; `provenance` says where it comes from: of a training its job, data set and
    parameters. A version is loaded before the worker forks (`load` is "parent"), or in each of its processes ("child")
    if it starts threads or opens a device while it loads. `requires` holds packages that the artifact needs beyond our own, as in
    "lightgbm==4.7.0"; None if nobody looked. `frame`: the estimator takes a DataFrame, even if its columns are all numbers. `memory_limit_mb` is what one prediction may take beyond what its process
    holds; 0 means no limit. `stream`: the code yields the text of a row as stream events, which watchers of the job receive. `direct` says
    whether API processes may predict with it, see `app.core.lanes`; None leaves it to them. `profile` is what live rows are compared with. `capture` says which predictions are kept.
    """

    name: str
    version: str
    format: str
    artifact: str
    sha256: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    weights: tuple[str, ...] = ()
    framework: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[Any, ...] = ()
    created_at: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    description: str = ""
    pool: str = DEFAULT_POOL
    batch: BatchLimits = BatchLimits()
    retries: RetryPolicy = RetryPolicy()
    time_limit_s: float = 30.0
    load: str = "parent"
    requires: Sequence[str] | None = None
    frame: bool = False
    memory_limit_mb: int = 0
    stream: bool = False
    golden: Golden | None = None
    profile: Profile | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    direct: bool | None = None
    capture: Capture | None = None

    def __post_init__(self) -> None:
        """Check the fields. Raises InvalidInput."""
        if not POOL.fullmatch(self.pool):
            raise InvalidInput(
                f"{self.pool!r} is not a valid pool name. Use lowercase letters, digits and -, for example gpu.", pointer="/pool"
            )
        if self.pool in RESERVED_POOLS:
            raise InvalidInput(reserved_pool(self.pool), pointer="/pool")
        if self.load not in ("parent", "child"):
            raise InvalidInput(
                f"load is {self.load!r}. Use parent, or child for code that starts threads or opens a device.", pointer="/load"
            )
        if not isinstance(self.direct, bool | None):
            raise InvalidInput(f"Invalid direct {self.direct!r}. Use true, false or auto.", pointer="/direct")
        if self.stream and (self.format != PYTHON or [(spec.datatype, spec.shape) for spec in self.outputs] != [("BYTES", (-1,))]):
            message = (
                "stream requires Python code with one output of text, for example outputs: [{name: text, datatype: BYTES, shape: [-1]}]."
            )
            raise InvalidInput(message, pointer="/stream")
        if self.capture is not None:
            columns = [column for spec in self.inputs for column in spec.columns]
            self.capture.check([spec.name for spec in (*self.inputs, *self.outputs)] + columns)

    @property
    def key(self) -> tuple[str, str]:
        """The name and the version."""
        return self.name, self.version

    @property
    def graph(self) -> bool:
        """Whether it is an ONNX graph of its own. One that was compiled from an estimator names what fitted the estimator."""
        return self.format == "onnx" and "scikit-learn" not in self.framework

    @property
    def default_outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs that are returned by default: all outputs of code, a graph or a program, since one call makes them, else the first method."""
        return self.outputs if self.format in (PYTHON, *PYTORCH) or self.graph else self.outputs[:1]

    @property
    def runs(self) -> str:
        """A human-readable description of what runs a prediction."""
        labels = {"python": "Python", "scikit-learn": "scikit-learn"}
        made = " and ".join(f"{labels[name]} {self.framework[name]}" for name in labels if self.framework.get(name)) or "unknown versions"
        if self.format == PYTHON:
            return f"the code of {self.artifact}, published with {made}"
        if self.graph:
            return "ONNX Runtime, the graph itself"
        if self.format == "onnx":
            close = (
                f"; it was published because its answers differ from the estimator's by at most {self.golden.tolerance:g}"
                if self.golden
                else ""
            )
            return f"ONNX Runtime, a graph compiled from an estimator of {made}{close}"
        if self.format in PYTORCH:
            return f"PyTorch {self.framework.get('torch', 'of an unknown version')}, the program in {self.artifact}"
        if self.format in NATIVE:
            return f"{self.format} {self.framework.get(self.format, 'of an unknown version')}, a file of the library"
        return f"the estimator itself, fitted with {made}"

    def classes_of(self, outputs: Sequence[str]) -> tuple[Any, ...]:
        """The class of each column of the one output that was asked for; () if its columns are not classes."""
        if len(outputs) != 1 or outputs[0] not in ("predict_proba", "decision_function"):
            return ()
        shape = next((spec.shape for spec in self.outputs if spec.name == outputs[0]), ())
        several = bool(self.classes) and all(isinstance(label, tuple) for label in self.classes)
        columns = len(self.classes) if not several else max(map(len, self.classes))
        return self.classes if len(shape) == (3 if several else 2) and shape[-1] in (-1, columns) else ()

    def output(self, name: str) -> TensorSpec:
        """Raises InvalidInput where the model has no such method."""
        for spec in self.outputs:
            if spec.name == name:
                return spec
        raise InvalidInput(
            f"{self.name!r} has no output {name!r}; it has {', '.join(spec.name for spec in self.outputs)}.", pointer="/method"
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON types, defaults included."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises InvalidInput that names the field which is missing, unknown or of another type."""
        _check_fields(cls, data, "")
        values = dict(data)
        for name in ("inputs", "outputs"):
            if not values.get(name):
                raise InvalidInput(f"The manifest has no {name}. Describe at least one.", pointer=f"/{name}")
            values[name] = tuple(_spec(spec, f"/{name}/{index}") for index, spec in enumerate(values[name]))
        for name, kind in (("batch", BatchLimits), ("retries", RetryPolicy), ("golden", Golden), ("capture", Capture)):
            if values.get(name) is not None:
                _check_fields(kind, values[name], f"/{name}")
                values[name] = kind(**values[name])
        if values.get("profile") is not None:
            values["profile"] = _profile(values["profile"])
        if values.get("direct") == "auto":
            values["direct"] = None
        values |= {name: tuple(values.get(name) or ()) for name in ("classes", "weights")}
        # Those of several targets are a list each.
        values["classes"] = tuple(tuple(label) if isinstance(label, list) else label for label in values["classes"])
        if values.get("requires") is not None:
            values["requires"] = tuple(values["requires"])
        return cls(**values)


def _profile(data: Any) -> Profile:
    try:
        return Profile.from_dict(data)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InvalidInput(f"The manifest's profile is not valid: {error}. Publish the version again.", pointer="/profile") from None


def _spec(data: Mapping[str, Any], pointer: str) -> TensorSpec:
    _check_fields(TensorSpec, data, pointer)
    lists = {name: tuple(data.get(name) or ()) for name in ("columns", "categories")}
    return TensorSpec(**{**data, "shape": tuple(data["shape"]), **lists})


_TYPES: Final[dict[str, tuple[Any, str]]] = {
    "str": (str, "text"), "int": (int, "a whole number"), "float": ((int, float), "a number"), "bool": (bool, "true or false"),
    "tuple": ((list, tuple), "a list"), "Mapping": (Mapping, "an object"),
}  # fmt: skip


def _check_fields(kind: Any, data: Any, pointer: str) -> None:
    if not isinstance(data, Mapping):
        raise InvalidInput(f"The manifest must have an object at {pointer or '/'}, not {data!r}.", pointer=pointer)
    declared = {item.name: item for item in fields(kind)}
    for name in data:
        if name not in declared:
            raise InvalidInput(f"The manifest has a field {name!r} that nothing reads.", pointer=f"{pointer}/{name}")
    for name, item in declared.items():
        if name not in data and item.default is item.default_factory:  # both MISSING: required
            raise InvalidInput(f"The manifest has no field {name!r}.", pointer=f"{pointer}/{name}")
        wanted, what = _TYPES.get(str(item.type).partition("[")[0], (object, ""))
        if name in data and not isinstance(data[name], wanted):
            raise InvalidInput(f"The manifest's {name!r} must be {what}, not {data[name]!r}.", pointer=f"{pointer}/{name}")

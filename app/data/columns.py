"""Which columns of a table a model takes, and which are carried along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from app.core.errors import InvalidFile, InvalidInput
from app.core.models import Manifest, TensorSpec
from app.core.tensors import FLOATS, TIMESTAMP, size_of
from app.data.delimited import INDEX
from app.data.row_batch import Reader

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Binding:
    """`inputs`: for each input of the model, the columns of the file that it is made of. `keep`: those carried along.

    `rest`: whatever else a row holds is carried along, also columns that none of the first rows has.
    """

    inputs: tuple[tuple[str, ...], ...]
    keep: tuple[str, ...]
    rest: bool = False

    @property
    def taken(self) -> list[str]:
        """Every column that the model reads, without duplicates."""
        return list(dict.fromkeys(name for names in self.inputs for name in names))

    @property
    def columns(self) -> list[str]:
        """Every column that is read, without duplicates."""
        return list(dict.fromkeys([*self.taken, *self.keep]))

    def floats(self, manifest: Manifest) -> list[str]:
        """The columns that are declared as floating-point numbers, and are not carried along as text."""
        pairs, kept = zip(manifest.inputs, self.inputs, strict=True), set(self.keep)
        return [name for spec, names in pairs if spec.datatype in FLOATS for name in names if name not in kept]


def bind(
    manifest: Manifest, reader: Reader, chosen: Sequence[str] | Mapping[str, str] | None = None, keep: Sequence[str] | None = None
) -> Binding:
    """Map the columns of a file to the inputs of a model.

    `chosen` lists the file's columns in the model's order, or by the model's names. Without it columns are matched by name, or by place if the
    model or the file has no names. `keep` lists the columns that are copied to the output; None means all others.

    Raises InvalidInput or InvalidFile that names the columns which are missing, too many or of a wrong type.
    """
    there = list(reader.columns)
    for name in keep or ():
        if name not in reader.columns:
            raise InvalidInput(f"The file has no column {name!r}; it has {_listed(there)}.", pointer="/keep")
    names = _wanted(manifest, there)
    if isinstance(chosen, Mapping):
        takes = set(names)
        unknown = [name for name in chosen if name not in takes]
        if unknown:
            raise InvalidInput(f"{manifest.name!r} takes no column {unknown[0]!r}; it takes {_listed(names)}.", pointer="/columns")
    taken: list[str]
    if chosen is not None or (names and not _nameless(there)):
        taken = wanted(manifest, chosen, there)
    else:
        left = {*(keep or ()), INDEX}
        taken = [name for name in there if name not in left]
    missing = [name for name in taken if name not in reader.columns]
    if missing:
        message = f"The file lacks {_listed(missing)}, which {manifest.name!r} takes; it has {_listed(there)}"
        raise InvalidFile(f"{message}. Rename them, or say which is which in columns.", pointer="/columns")
    inputs = _dealt(manifest, taken)
    for spec, columns in zip(manifest.inputs, inputs, strict=True):
        for name in columns if reader.typed else ():
            _check_type(spec, name, reader.columns[name])
    reads = set(taken)
    rest = [name for name in there if name not in reads] if keep is None else list(keep)
    return Binding(inputs, tuple(rest))


def wanted(manifest: Manifest, chosen: Sequence[str] | Mapping[str, str] | None, there: Sequence[str]) -> list[str]:
    """The columns of a file that a model takes by name."""
    names = _wanted(manifest, there)
    if isinstance(chosen, Mapping):
        return [chosen.get(name, name) for name in names]
    return names if chosen is None else list(chosen)


def _wanted(manifest: Manifest, there: Sequence[str]) -> list[str]:
    """The names of the columns that the model takes; empty if it declares none. A single value per row may also come from a file's only column."""
    spec, *more = manifest.inputs
    if more or (len(spec.shape) == 1 and spec.name in there):
        return [spec.name for spec in manifest.inputs]
    return list(spec.columns)


def _nameless(there: Sequence[str]) -> bool:
    return list(there) == [str(at) for at in range(len(there))]


def _dealt(manifest: Manifest, taken: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    widths = [size_of(spec.shape[1:]) for spec in manifest.inputs]
    if len(widths) == 1 and widths[0] < 0:
        widths = [len(taken)]
    if sum(widths) != len(taken):
        message = f"{manifest.name!r} takes {sum(widths)} columns, and these are {len(taken)}: {_listed(taken)}"
        raise InvalidFile(f"{message}. Name those that it takes in columns.", pointer="/columns")
    given = iter(taken)
    return tuple(tuple(next(given) for _ in range(width)) for width in widths)


def _check_type(spec: TensorSpec, name: str, kind: Any) -> None:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value)
    raw = pa.types.is_binary(value) or pa.types.is_large_binary(value)
    time = pa.types.is_timestamp(value) or pa.types.is_date(value)
    number = pa.types.is_integer(value) or pa.types.is_floating(value) or pa.types.is_boolean(value) or pa.types.is_decimal(value)
    # Numbers and times may be written as text; see `app.data.cells`.
    fits = text or (raw if spec.datatype == "BYTES" else time if spec.datatype == TIMESTAMP else number)
    if not fits and not pa.types.is_null(value):
        raise InvalidFile(f"The column {name!r} holds {kind}, and the model takes {spec.datatype}.", pointer="/columns")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown

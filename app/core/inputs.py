"""Converting the inputs of a request (rows, records by column, or tensors) to the tensors that a model declares."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from app.core.errors import InvalidInput, InvalidTensor, PayloadTooLarge, UnknownField, shown
from app.core.models import Manifest, TensorSpec
from app.core.nested_lists import counted, example_of, flatten, is_nested, located, place_of
from app.core.tensors import (
    FLOATS,
    ITEM_SIZE,
    TIMESTAMP,
    Tensor,
    check_size,
    decode,
    elements,
    first_missing,
    has_missing,
    is_binary,
    size_of,
)
from app.core.values import about

_MAX_VALUES: Final = 1 << 24
"""Maximum number of values in the rows of one request, counting those that a record omits."""


def from_rows(manifest: Manifest, rows: Any, pointer: str = "/inputs") -> list[Tensor]:
    """Convert `[[…], …]` (values in the order of the columns) or `[{column: value}, …]` to the model's tensors.

    Raises InvalidInput or InvalidTensor that names the row and the column.
    """
    if not isinstance(rows, list) or not rows:
        field = pointer.rpartition("/")[2]
        raise InvalidInput(f'{field} must be a list of at least one row, as in [[5.1, 3.5]] or [{{"column": 5.1}}].', pointer=pointer)
    if isinstance(rows[0], dict) and not is_binary(rows[0]):
        return _from_records(manifest, rows, pointer)
    if len(manifest.inputs) > 1:
        return _from_columns(manifest, rows, pointer)
    spec = manifest.inputs[0]
    flat, shape = flatten(rows, pointer)
    if len(spec.shape) == 1 and len(shape) == 2 and shape[1] == 1:
        shape = shape[:1]
    _check_shape(spec, shape, pointer)
    try:
        tensor = spec.tensor(flat, shape)
    except InvalidTensor as error:
        raise located(error, shape, pointer, spec) from None
    return [_complete(spec, tensor, pointer, flat=False)]


def requested_outputs(method: str | None, manifest: Manifest) -> tuple[str, ...]:
    """Return the requested output, or the model's default outputs if the request names none. Raises InvalidInput."""
    if method is None:
        return tuple(spec.name for spec in manifest.default_outputs)
    return (manifest.output(method).name,)


def method_of(method: object, manifest: Manifest) -> str:
    """Return the requested output, or the model's first if the request names none. Raises InvalidInput."""
    if method is None:
        return manifest.outputs[0].name
    if not isinstance(method, str):
        raise InvalidInput(f"method must be a string, as in {manifest.outputs[0].name!r}.", pointer="/method")
    return manifest.output(method).name


def from_tensors(manifest: Manifest, tensors: Sequence[Tensor], pointer: str = "/inputs") -> list[Tensor]:
    """Convert tensors to the order and the datatypes that the model declares. Numbers are widened if no value changes.

    Raises InvalidTensor for a missing or unknown name, a wrong shape, an incompatible datatype, or NaN that the model does not accept.
    """
    if _by_column(manifest, tensors):
        return [_joined(manifest.inputs[0], tensors, pointer)]
    given = {tensor.name: (index, tensor) for index, tensor in enumerate(tensors)}
    single = len(tensors) == len(manifest.inputs) == 1
    declared = {spec.name for spec in manifest.inputs}
    for index, tensor in enumerate(tensors):
        if not single and tensor.name not in declared:
            raise InvalidTensor(
                f"{manifest.name!r} has no input {shown(tensor.name)}; it has {_names(manifest)}.", pointer=f"{pointer}/{index}/name"
            )
    if len(given) != len(tensors):
        raise InvalidTensor("Two inputs have the same name.", pointer=pointer)
    fitted = []
    for spec in manifest.inputs:
        if not single and spec.name not in given:
            raise InvalidTensor(f"The input {spec.name!r} is missing; {manifest.name!r} takes {_names(manifest)}.", pointer=pointer)
        # A model of one input takes it under any name: clients of other servers call it input-0.
        index, tensor = given.get(spec.name) or (0, tensors[0])
        fitted.append(_fit(spec, tensor, f"{pointer}/{index}"))
    if not single and len({tensor.rows for tensor in fitted}) > 1:
        raise InvalidTensor(f"The inputs differ in rows: {', '.join(f'{t.name} has {t.rows}' for t in fitted)}.", pointer=pointer)
    return fitted


def _by_column(manifest: Manifest, tensors: Sequence[Tensor]) -> bool:
    """Return whether the request has a tensor per column of the model's only input, as MLServer's pandas codec sends them."""
    columns = manifest.inputs[0].columns if len(manifest.inputs) == 1 else ()
    whole = len(tensors) == 1 and tensors[0].shape[1:] == (len(columns),)
    return bool(columns) and not whole and {tensor.name for tensor in tensors}.issubset(columns)


def _joined(spec: TensorSpec, tensors: Sequence[Tensor], pointer: str) -> Tensor:
    """Join one tensor per column to a two-dimensional input."""
    given = {tensor.name: (index, tensor) for index, tensor in enumerate(tensors)}
    if len(given) != len(tensors):
        raise InvalidTensor("Two inputs have the same name.", pointer=pointer)
    missing = [name for name in spec.columns if name not in given]
    if missing:
        raise InvalidTensor(
            f"The column {missing[0]!r} is missing. The model takes the columns {', '.join(spec.columns)}.", pointer=pointer
        )
    columns = []
    for name in spec.columns:
        index, tensor = given[name]
        columns.append(_fit(replace(spec, name=name, shape=(-1,), columns=()), tensor, f"{pointer}/{index}"))
    rows = columns[0].rows
    if any(column.rows != rows for column in columns):
        raise InvalidTensor(f"The columns differ in rows: {', '.join(f'{c.name} has {c.rows}' for c in columns)}.", pointer=pointer)
    shape = (rows, len(columns))
    if spec.datatype == "BYTES":
        cells = [elements(column.data) for column in columns]
        return spec.tensor([cell for row in zip(*cells, strict=True) for cell in row], shape)
    code = {1: "B", 2: "H", 4: "I", 8: "Q"}[ITEM_SIZE[spec.datatype]]
    table = array(code, bytes(rows * len(columns) * ITEM_SIZE[spec.datatype]))
    for at, column in enumerate(columns):
        table[at :: len(columns)] = array(code, bytes(column.data))
    return Tensor(spec.name, spec.datatype, shape, table.tobytes())


def _complete(spec: TensorSpec, tensor: Tensor, pointer: str, *, flat: bool) -> Tensor:
    """Check for missing values and infinities. Raises InvalidTensor if the input accepts none; with `flat`, it points to the whole input."""
    if spec.nullable or not has_missing(tensor):
        return tensor
    index = first_missing(tensor)
    place = place_of(index, tensor.shape)
    column = f" in the column {spec.columns[place[1]]!r}" if len(place) == 2 and spec.columns else ""
    kind = "NaN or an infinity" if tensor.datatype in FLOATS else "a missing value"
    reason = f"{spec.name!r} holds {kind}{column} of row {place[0]}, and the model takes no missing values."
    raise InvalidTensor(reason, pointer=pointer if flat else "/".join((pointer, *map(str, place))))


def _fit(spec: TensorSpec, tensor: Tensor, pointer: str) -> Tensor:
    shape = tensor.shape
    if len(spec.shape) == 1 and len(shape) == 2 and shape[1] == 1:
        shape = shape[:1]  # clients of the protocol send a column as [n, 1]
    _check_shape(spec, shape, f"{pointer}/shape")
    check_size(tensor, f"{pointer}/data")
    if tensor.datatype == spec.datatype:
        fitted = Tensor(spec.name, spec.datatype, shape, tensor.data)
    else:
        fitted = _converted(spec, tensor, shape, pointer)
    return _complete(spec, fitted, f"{pointer}/data", flat=True)


def _converted(spec: TensorSpec, tensor: Tensor, shape: tuple[int, ...], pointer: str) -> Tensor:
    """Convert numbers to other numbers if no value changes, and text to timestamps, which the protocol does not have."""
    fits = tensor.datatype == "BYTES" if spec.datatype == TIMESTAMP else "BYTES" not in (spec.datatype, tensor.datatype)
    if not fits:
        wanted = "BYTES (timestamps as text)" if spec.datatype == TIMESTAMP else spec.datatype
        raise InvalidTensor(f"{spec.name!r} takes {wanted}, not {tensor.datatype}.", pointer=f"{pointer}/datatype")
    values = decode(tensor.data, tensor.datatype)
    if spec.datatype not in FLOATS:
        values = [None if value != value else value for value in values]
    try:
        return spec.tensor(values, shape)
    except InvalidTensor as error:
        raise InvalidTensor(f"{spec.name!r}: {error.detail}", pointer=f"{pointer}/data{error.pointer or ''}") from None


def _from_records(manifest: Manifest, rows: list[Any], pointer: str) -> list[Tensor]:
    single = manifest.inputs[0] if len(manifest.inputs) == 1 else None
    columns = single.columns if single and len(single.shape) == 2 else tuple(spec.name for spec in manifest.inputs)
    if not columns:
        raise InvalidInput(f"{manifest.name!r} has no column names. Give its inputs as a list of lists.", pointer=pointer)
    if len(rows) * len(columns) > _MAX_VALUES:
        raise PayloadTooLarge(
            f"{len(rows)} rows of {len(columns)} columns are more than {_MAX_VALUES} values. Split the rows, or submit a batch."
        )
    names = set(columns)
    required = names - {name for spec in manifest.inputs if spec.nullable for name in (spec.name, *spec.columns)}
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvalidInput(f"Row {index} must be a record, like row 0.", pointer=f"{pointer}/{index}")
        if row.keys() != names:
            for name in row:
                if name not in names:
                    raise UnknownField(
                        f"Row {index} has a column {shown(name)} that the model does not know; it has {', '.join(columns)}.",
                        pointer=f"{pointer}/{index}/{name}",
                    )
            if not required <= row.keys():
                missing = next(name for name in columns if name not in row)
                raise InvalidInput(f"Row {index} lacks the column {missing!r}.", pointer=f"{pointer}/{index}")
    return _from_columns(manifest, [[row.get(name) for name in columns] for row in rows], pointer, columns)


def _from_columns(manifest: Manifest, rows: list[Any], pointer: str, names: tuple[str, ...] = ()) -> list[Tensor]:
    if len(manifest.inputs) == 1 and len(manifest.inputs[0].shape) == 2:
        try:
            return from_rows(manifest, rows, pointer)
        except InvalidTensor as error:
            row, _, column = (error.pointer or "").removeprefix(f"{pointer}/").partition("/")
            if column.isdigit() and names:
                error.pointer = f"{pointer}/{row}/{names[int(column)]}"
            raise
    width = len(manifest.inputs)
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            raise InvalidInput(
                f"Row {index} must be a list of {counted(width, 'value')}: {_names(manifest)}.", pointer=f"{pointer}/{index}"
            )
    tensors = []
    for at, spec in enumerate(manifest.inputs):
        values: list[Any] = [row[at] for row in rows]
        shape: tuple[int, ...] = (len(rows),)
        if len(spec.shape) > 1:
            values, shape = _flat(spec, values, pointer)
        for index, value in enumerate(values):
            if is_nested(value):
                raise InvalidTensor(
                    f"Row {index} holds a list or a record in the column {spec.name!r}.",
                    pointer=f"{pointer}/{index}/{(names and spec.name) or at}",
                )
        try:
            tensor = spec.tensor(values, shape)
        except InvalidTensor as error:
            where = f"{pointer}{error.pointer or ''}/{spec.name if names else at}"
            raise InvalidTensor(about(spec.name, error.detail), pointer=where) from None
        tensors.append(_complete(spec, tensor, pointer, flat=True))
    return tensors


def _flat(spec: TensorSpec, values: list[Any], pointer: str) -> tuple[list[Any], tuple[int, ...]]:
    """Flatten a column whose values are lists, such as images or embeddings."""
    try:
        flat, shape = flatten(values, pointer)
    except InvalidTensor as error:
        raise InvalidTensor(about(spec.name, error.detail), pointer=error.pointer) from None
    _check_shape(spec, shape, pointer, column=True)
    return flat, shape


def _check_shape(spec: TensorSpec, shape: tuple[int, ...], pointer: str, *, column: bool = False) -> None:
    """Raise InvalidTensor unless the shape fits the input. With `column`, each row holds the input as the value of a column."""
    if len(shape) != len(spec.shape) or not all(want in (-1, have) for want, have in zip(spec.shape, shape, strict=True)):
        what, given = ("Column", shape[1:]) if column else ("Input", shape)
        example = example_of(spec.datatype, spec.shape[1:] if column else spec.shape)
        detail = f"{what} {spec.name!r} takes {_per_row(spec)} per row, for example {example}, not the shape {list(given)}."
        raise InvalidTensor(detail, pointer=pointer)
    if size_of(shape) <= 0 or min(shape) < 1:
        raise InvalidTensor(f"{spec.name!r} is empty: the shape {list(shape)} holds no element.", pointer=pointer)


def _per_row(spec: TensorSpec) -> str:
    """What one row of an input is, in words."""
    kind = "text" if spec.datatype == "BYTES" else "value"
    match spec.shape[1:]:
        case ():
            return f"one {kind}"
        case (-1,):
            return f"a list of {kind}s"
        case (size,):
            return counted(size, kind)
        case sizes:
            return f"lists of the shape {list(sizes)}" + (", where -1 is any size," if -1 in sizes else "")


def _names(manifest: Manifest) -> str:
    return ", ".join(spec.name for spec in manifest.inputs)

"""Tensors of the Open Inference Protocol as JSON, with raw data beside it if the caller asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.core.errors import CeleriacError, InvalidInput, InvalidTensor, UnknownField, shown
from app.core.fields import reject_unknown_fields
from app.core.models import Manifest
from app.core.nested_lists import flatten, located
from app.core.tensors import DATATYPES, TIMESTAMP, Buffer, Tensor, as_json, check_size, checked_shape, decode, make, size_of
from app.core.tiers import Tier, of_priority

_UNSPOKEN: Final = ("shared_memory_", "classification")
"""Parameters of other servers' extensions: to pass them over would answer something else than was requested."""


def read(given: Sequence[Mapping[str, Any]], raw: memoryview, pointer: str = "/inputs") -> list[Tensor]:
    """The tensors of a request; those with raw data are views into it. Raises InvalidTensor or UnknownField that names the tensor."""
    tensors: list[Tensor] = []
    at = 0
    for index, item in enumerate(given):
        where = f"{pointer}/{index}"
        reject_unknown_fields(item, "name", "datatype", "shape", "parameters", "data", pointer=where)
        name, datatype = item.get("name"), item.get("datatype")
        if not isinstance(name, str):
            raise InvalidTensor("name must be a string.", pointer=f"{where}/name")
        if datatype not in DATATYPES:
            raise InvalidTensor(f"datatype is {shown(datatype)}. Use one of {', '.join(DATATYPES)}.", pointer=f"{where}/datatype")
        shape = checked_shape(item.get("shape"), f"{where}/shape")
        size = parameters(item, where).get("binary_data_size")
        if size is None:
            tensor = _from_json(name, item.get("data"), datatype, shape, where)
        else:
            data = _from_raw(item, size, raw[at:], where)
            at += len(data)
            tensor = Tensor(name, datatype, shape, data)
            _check(tensor, f"{where}/parameters/binary_data_size")
        tensors.append(tensor)
    if at != len(raw):
        raise InvalidTensor(f"{len(raw) - at} bytes of raw data follow the JSON that no tensor's binary_data_size claims.", pointer=pointer)
    return tensors


def listed(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The tensors in a field of a request. Raises InvalidInput if it has none."""
    tensors = body.get(name)
    if not isinstance(tensors, list) or not tensors or not all(isinstance(item, dict) for item in tensors):
        raise InvalidInput(f"{name} must be a list of at least one tensor.", pointer=f"/{name}")
    return tensors


def outputs(body: dict[str, Any], options: dict[str, Any], manifest: Manifest) -> tuple[tuple[str, ...], list[bool]]:
    """The names of the outputs, and which of them are to come as raw data."""
    binary = options.get("binary_data_output") is True
    if body.get("outputs") in (None, []):
        names = tuple(spec.name for spec in manifest.default_outputs)
        return names, [binary] * len(names)
    requested: dict[str, bool] = {}
    for index, item in enumerate(listed(body, "outputs")):
        pointer = f"/outputs/{index}"
        reject_unknown_fields(item, "name", "parameters", pointer=pointer)
        name = str(item.get("name"))
        if name in requested or all(name != spec.name for spec in manifest.outputs):
            there = ", ".join(spec.name for spec in manifest.outputs)
            reason = "is requested twice" if name in requested else f"is not an output of {manifest.name!r}; it has {there}"
            raise InvalidInput(f"{shown(name)} {reason}", pointer=f"{pointer}/name")
        requested[name] = parameters(item, pointer).get("binary_data", binary) is True
    return tuple(requested), list(requested.values())


def parameters(owner: Mapping[str, Any], pointer: str = "") -> dict[str, Any]:
    """The parameters of a request or tensor. The protocol permits strings, numbers and truth values; unknown ones are passed over."""
    given = owner.get("parameters")
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InvalidInput("parameters must be an object.", pointer=f"{pointer}/parameters")
    for name, value in given.items():
        if not isinstance(value, str | int | float):
            raise InvalidInput(f"{shown(name)} must be a string, a number, true or false.", pointer=f"{pointer}/parameters/{name}")
        if name.startswith(_UNSPOKEN):
            raise UnknownField(
                f"Parameter {shown(name)} belongs to an extension that this server does not support.",
                pointer=f"{pointer}/parameters/{name}",
            )
    return given


def timeout_s(given: Mapping[str, Any], pointer: str = "/parameters") -> float | None:
    """The parameter `timeout` in seconds; None if it is missing or 0."""
    return _whole_number(given, "timeout", "microseconds to wait", pointer) / 1e6 or None


def tier(given: Mapping[str, Any], pointer: str = "/parameters") -> Tier:
    """The service tier of the parameter `priority`."""
    return of_priority(_whole_number(given, "priority", "priority, 1 is the highest", pointer))


def _whole_number(given: Mapping[str, Any], name: str, what: str, pointer: str) -> int:
    value = given.get(name, 0)
    if type(value) is not int or value < 0:
        raise InvalidInput(f"{name} is {shown(value)}. Give the {what}, a whole number.", pointer=f"{pointer}/{name}")
    return value


def write(answers: Sequence[Tensor], binary: Sequence[bool]) -> tuple[list[dict[str, Any]], list[Buffer]]:
    """The outputs as JSON types, and the raw data that follow the JSON."""
    entries, raw = [], []
    for tensor, is_binary in zip(map(_spoken, answers), binary, strict=True):
        entry: dict[str, Any] = {"name": tensor.name, "shape": tensor.shape, "datatype": tensor.datatype}
        if is_binary:
            entry["parameters"] = {"binary_data_size": len(tensor.data)}
            raw.append(tensor.data)
        else:
            entry["data"] = values(tensor)
        entries.append(entry)
    return entries, raw


def _spoken(tensor: Tensor) -> Tensor:
    """Timestamps as text: the protocol has none."""
    if tensor.datatype != TIMESTAMP:
        return tensor
    return make(tensor.name, "BYTES", tensor.shape, decode(tensor.data, TIMESTAMP), nullable=True)


def values(tensor: Tensor) -> list[Any]:
    """Return flat values as JSON types. An element of a BYTES tensor that is not UTF-8 becomes `{"b64": …}`."""
    decoded = decode(tensor.data, tensor.datatype)
    return list(map(as_json, decoded)) if tensor.datatype == "BYTES" else decoded


def nested(tensor: Tensor) -> list[Any]:
    """Nested lists, row-major."""
    return _nest(values(tensor), tensor.shape)


def _from_json(name: str, data: Any, datatype: str, shape: tuple[int, ...], where: str) -> Tensor:
    if data is None:
        raise InvalidTensor(
            "The tensor has no data. Give it as a list, or raw with the parameter binary_data_size.", pointer=f"{where}/data"
        )
    flat, nested = flatten(data, f"{where}/data")
    if len(flat) != size_of(shape):
        raise InvalidTensor(f"The data holds {len(flat)} elements, the shape {list(shape)} says {size_of(shape)}.", pointer=f"{where}/data")
    try:
        return make(name, datatype, tuple(shape), flat, nullable=True)
    except InvalidTensor as error:
        raise located(error, nested, f"{where}/data") from None


def _from_raw(item: Mapping[str, Any], size: Any, left: memoryview, where: str) -> memoryview:
    pointer = f"{where}/parameters/binary_data_size"
    if "data" in item:
        raise InvalidTensor(f"{shown(item['name'])} has data and binary_data_size. Give one of them.", pointer=pointer)
    if type(size) is not int or size < 0:
        raise InvalidTensor(f"binary_data_size is {shown(size)}. Give the number of bytes.", pointer=pointer)
    if size > len(left):
        raise InvalidTensor(
            f"{shown(item['name'])} is cut off: it has {size} bytes by its binary_data_size, and {len(left)} are left.", pointer=pointer
        )
    return left[:size]


def _check(tensor: Tensor, pointer: str) -> None:
    try:
        check_size(tensor)
    except CeleriacError as error:
        raise InvalidTensor(f"{shown(tensor.name)}: {error.detail}", pointer=pointer) from None


def _nest(values: list[Any], shape: tuple[int, ...]) -> list[Any]:
    if len(shape) <= 1:
        return values
    step = size_of(shape[1:])
    return [_nest(values[at : at + step], shape[1:]) for at in range(0, shape[0] * step, step)]

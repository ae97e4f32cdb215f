"""A pipeline: steps that run models and functions, and what flows between them.

The inputs of a step are a template: any value with references. `$inputs.image` is an input of the caller, `$decode` or
`$decode.pixels` the answer of another step, and `$item` the current element of the list that `each` names. A text that
begins with a dollar is written with two. The order of the steps follows from these references alone.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, Self, TypeVar

from app.core.errors import InvalidInput
from app.core.models import POOL, ModelRef, RetryPolicy
from app.core.pools import RESERVED_POOLS, reserved_pool

STEP: Final = "step"
"""The kind of work that one step, or one branch of it, is."""
PIPELINE: Final = "pipeline"
"""The kind of job that a whole run is."""
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
INPUTS, ITEM, INDEX = "inputs", "item", "index"
_REFERENCE: Final = re.compile(r"\$([a-z][a-z0-9_]*)((?:\.[A-Za-z0-9_-]+)*)")
_OWN: Final = (INPUTS, ITEM, INDEX)
TESTS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "is": operator.eq, "is_not": operator.ne, "above": operator.gt, "below": operator.lt, "at_least": operator.ge, "at_most": operator.le,
}  # fmt: skip

T = TypeVar("T")
Lookup = Callable[[str], Any]
"""The value of `inputs`, `item`, `index`, or of a step by its name."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition: `when: $sure` needs a true value, `when: {value: $sure.score, below: 0.9}` compares."""

    value: str
    test: str = ""
    than: Any = None

    def holds(self, lookup: Lookup) -> bool:
        """Return whether the condition is met. Raises InvalidInput if the values cannot be compared."""
        value = fill(self.value, lookup)
        try:
            return bool(TESTS[self.test](value, self.than) if self.test else value)
        except TypeError:
            raise InvalidInput(f"{self.value} is {value!r}, which cannot be compared with {self.than!r}.") from None

    def __str__(self) -> str:
        """Return the condition as a short text, as in `$sure.score below 0.9`."""
        return f"{self.value} {self.test.replace('_', ' ')} {self.than}" if self.test else self.value


@dataclass(frozen=True, slots=True)
class Step:
    """`run` names a function that is registered with `@step`, `model` a model: one of both.

    With `each` it runs once for every element of a list, and answers the list of the answers, in order. Where `when` does
    not hold it is skipped and answers null; so is a step all of whose sources were skipped.
    """

    name: str
    run: str = ""
    model: str = ""
    method: str | None = None
    inputs: Any = None
    each: str = ""
    when: Condition | None = None
    pool: str = ""
    timeout_s: float = 300.0
    retries: RetryPolicy = field(default_factory=RetryPolicy)

    @property
    def sources(self) -> frozenset[str]:
        """The steps that it waits for."""
        parts = (self.inputs, self.each, self.when.value if self.when else None)
        return frozenset(name for part in parts for name, _ in references(part) if name not in _OWN)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`steps` come after those that they wait for; `output` is a template too."""

    name: str
    inputs: tuple[str, ...]
    steps: Mapping[str, Step]
    output: Any
    description: str = ""

    @classmethod
    def from_dict(cls, name: str, data: Any) -> Self:
        """Raises InvalidInput whose pointer says where `data` is wrong."""
        _fields(data, ("description", "inputs", "steps", "output"), ("steps", "output"), "")
        inputs = data.get("inputs") or []
        if not isinstance(inputs, list) or not all(isinstance(item, str) and NAME.fullmatch(item) for item in inputs):
            raise InvalidInput("inputs must be a list of names, as in [image].", pointer="/inputs")
        given = data["steps"]
        if not isinstance(given, Mapping) or not given:
            raise InvalidInput("steps must name at least one step.", pointer="/steps")
        steps = {str(key): _step(str(key), about, f"/steps/{key}") for key, about in given.items()}
        for step in steps.values():
            for part in ("inputs", "each", "when"):
                _check(given[step.name].get(part), steps, inputs, f"/steps/{step.name}/{part}", each=bool(step.each) and part != "each")
        _check(data["output"], steps, inputs, "/output", each=False)
        try:
            order = list(TopologicalSorter({step.name: sorted(step.sources) for step in steps.values()}).static_order())
        except CycleError as error:
            circle = " -> ".join(error.args[1])
            raise InvalidInput(f"The steps wait for each other: {circle}.", pointer=f"/steps/{error.args[1][0]}") from None
        return cls(name, tuple(inputs), {key: steps[key] for key in order}, data["output"], str(data.get("description") or ""))


def fill(template: Any, lookup: Lookup) -> Any:
    """The template with values in the place of references. Raises InvalidInput for a part that a value has not."""
    if isinstance(template, Mapping):
        return {name: fill(value, lookup) for name, value in template.items()}
    if isinstance(template, list):
        return [fill(value, lookup) for value in template]
    if not isinstance(template, str) or not template.startswith("$"):
        return template
    if template.startswith("$$"):
        return template[1:]
    name, path = _parsed(template)
    value = lookup(name)
    for at, part in enumerate(path):
        value = _part(value, part, "$" + ".".join((name, *path[:at])))
    return value


def references(template: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and path of each reference. Raises InvalidInput for what looks like one and is none."""
    if isinstance(template, Mapping):
        template = list(template.values())
    if isinstance(template, list):
        for value in template:
            yield from references(value)
    elif isinstance(template, str) and template.startswith("$") and not template.startswith("$$"):
        yield _parsed(template)


def _parsed(text: str) -> tuple[str, tuple[str, ...]]:
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text!r} is not a reference. Use $step or $step.part. Write two dollars for a text that begins with one.")
    return match[1], tuple(match[2].split(".")[1:])


def _part(value: Any, part: str, whole: str) -> Any:
    if value is None:
        return None  # of a step that was skipped
    if isinstance(value, Mapping) and part in value:
        return value[part]
    if isinstance(value, list) and part.isdigit() and int(part) < len(value):
        return value[int(part)]
    there = f"has {', '.join(map(str, value))}" if isinstance(value, Mapping) else f"is a {type(value).__name__}"
    raise InvalidInput(f"{whole} has no part {part!r}: it {there}.")


def _step(name: str, about: Any, pointer: str) -> Step:
    if not NAME.fullmatch(name) or name in _OWN:
        raise InvalidInput(
            f"{name!r} is not a valid step name. Use lowercase letters, digits and _, but not {', '.join(_OWN)}.", pointer=pointer
        )
    names = [item.name for item in fields(Step)][1:]
    _fields(about, names, (), pointer)
    values = dict(about)
    for key in ("run", "model", "method", "each", "pool"):
        if key in values and not isinstance(values[key], str):
            raise InvalidInput(f"{key} must be a string.", pointer=f"{pointer}/{key}")
    if values.get("pool") and not POOL.fullmatch(values["pool"]):
        raise InvalidInput(
            f"{values['pool']!r} is not a valid pool name. Use lowercase letters, digits and -, for example gpu.", pointer=f"{pointer}/pool"
        )
    if values.get("pool") in RESERVED_POOLS:
        raise InvalidInput(reserved_pool(values["pool"]), pointer=f"{pointer}/pool")
    if bool(values.get("run")) == bool(values.get("model")):
        raise InvalidInput(f"The step {name!r} must have either run (a function) or model.", pointer=pointer)
    if values.get("model"):
        _at(lambda: ModelRef.parse(values["model"]), f"{pointer}/model")
    elif not isinstance(values.get("inputs") or {}, Mapping):
        raise InvalidInput("The inputs of a function are its arguments by name, as in {image: $inputs.image}.", pointer=f"{pointer}/inputs")
    if "each" in values and not list(_at(lambda: list(references(values["each"])), f"{pointer}/each")):
        raise InvalidInput("each must be a reference to a list, as in $split.pages.", pointer=f"{pointer}/each")
    limit = values.get("timeout_s", 300.0)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit < math.inf:
        raise InvalidInput(f"timeout_s is {limit!r}. Give seconds.", pointer=f"{pointer}/timeout_s")
    values["when"] = _condition(values["when"], f"{pointer}/when") if "when" in values else None
    if "retries" in values:
        _fields(values["retries"], [item.name for item in fields(RetryPolicy)], (), f"{pointer}/retries")
        values["retries"] = _retries(values["retries"], f"{pointer}/retries")
    return Step(name, **values)


def _condition(given: Any, pointer: str) -> Condition:
    if isinstance(given, str):
        return Condition(given)
    _fields(given, ("value", *TESTS), ("value",), pointer)
    tests = [key for key in given if key != "value"]
    if len(tests) != 1:
        raise InvalidInput(f"when must compare value by one of {', '.join(TESTS)}.", pointer=pointer)
    return Condition(str(given["value"]), tests[0], given[tests[0]])


def _check(template: Any, steps: Mapping[str, Step], inputs: Sequence[str], pointer: str, *, each: bool) -> None:
    for name, path in _at(lambda: list(references(template)), pointer):
        if name == INPUTS:
            if not path or path[0] not in inputs:
                raise InvalidInput(f"${'.'.join((name, *path))} is not an input. Inputs: {', '.join(inputs) or 'none'}.", pointer=pointer)
        elif name in (ITEM, INDEX):
            if not each:
                raise InvalidInput(f"${name} exists only in a step with each.", pointer=pointer)
        elif name not in steps:
            raise InvalidInput(f"${name} is not a step. Steps: {', '.join(steps)}.", pointer=pointer)


def _fields(data: Any, supported: Sequence[str], required: Sequence[str], pointer: str) -> None:
    if not isinstance(data, Mapping):
        raise InvalidInput(f"Expected an object with {', '.join(supported)}.", pointer=pointer)
    for name in data:
        if name not in supported:
            raise InvalidInput(f"Unknown field {name!r}. Supported fields: {', '.join(supported)}.", pointer=f"{pointer}/{name}")
    for name in required:
        if name not in data:
            raise InvalidInput(f"{name} is missing.", pointer=pointer)


def _retries(given: Mapping[str, Any], pointer: str) -> RetryPolicy:
    for name, value in given.items():
        whole = name == "max_attempts"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not whole <= value < math.inf:
            raise InvalidInput(
                f"{name} is {value!r}. Give {'a whole number from 1 on' if whole else 'seconds'}", pointer=f"{pointer}/{name}"
            )
    return RetryPolicy(**given)


def _at(make: Callable[[], T], pointer: str) -> T:
    try:
        return make()
    except InvalidInput as error:
        raise InvalidInput(error.detail, pointer=pointer) from None

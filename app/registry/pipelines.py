"""Pipelines in a folder: `NAME.yaml`, read on demand. Errors name the line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from app.core.errors import InvalidInput, PipelineNotFound, PipelineUnavailable
from app.core.models import NAME
from app.core.pipelines import Pipeline
from app.registry.staging import flush

_ENDING: Final = ".yaml"
_KINDS: Final = ("map", "seq", "str", "int", "float", "bool", "null")
"""Kinds of YAML values that JSON has, too."""
_MOST_NODES: Final = 20_000
Lines = dict[str, int]
"""JSON pointer -> line number, from 1."""


class Pipelines:
    """Pipelines of a folder. Raises OSError if the folder cannot be read."""

    def __init__(self, folder: Path) -> None:
        """Read and write pipelines in `folder`."""
        self._folder = folder

    def names(self) -> list[str]:
        """Return the names of all pipelines, sorted."""
        return sorted(path.stem for path in self._folder.glob(f"*{_ENDING}") if NAME.fullmatch(path.stem)) if self._folder.is_dir() else []

    def publish(self, name: str, text: str) -> Pipeline:
        """Write a pipeline or replace it. Runs that have started keep the pipeline that they started with.

        Raises InvalidInput if the name is not valid, PipelineUnavailable with the line if the text is not.
        """
        pipeline = check(name, text)
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._folder / f".{name}.new"
        new.write_text(text)
        flush(new)
        new.replace(self._folder / f"{name}{_ENDING}")
        flush(self._folder)
        return pipeline

    def read(self, name: str) -> tuple[Pipeline, dict[str, Any]]:
        """Return a pipeline and the content of its file. Raises PipelineNotFound, or PipelineUnavailable with the line."""
        path = self._folder / f"{name}{_ENDING}"
        if not NAME.fullmatch(name) or not path.is_file():
            raise PipelineNotFound(
                f"Pipeline {name!r} does not exist. Pipelines: {', '.join(self.names()) or 'none'}.", pointer="/pipeline"
            )
        return parse(name, path.read_text(errors="replace"), path.name)


def check(name: str, text: str) -> Pipeline:
    """Return the pipeline of a text. Raises InvalidInput if the name is not valid, PipelineUnavailable with the line if the text is not."""
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is not a valid pipeline name. Use lowercase letters, digits, - and _, as in digit-image.", pointer="/name"
        )
    pipeline, _ = parse(name, text, f"{name}{_ENDING}")
    return pipeline


def parse(name: str, text: str, file: str) -> tuple[Pipeline, dict[str, Any]]:
    """Parse the text of a pipeline. Raises PipelineUnavailable with the line."""
    lines: Lines = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        for pointer, line in _lines(node, "") if node is not None else ():
            lines[pointer] = line
            if len(lines) > _MOST_NODES:
                raise InvalidInput(
                    f"The file holds more than {_MOST_NODES} values, including those that YAML aliases repeat.", pointer=pointer
                )
        data = yaml.safe_load(text)
        return Pipeline.from_dict(name, data), data
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise PipelineUnavailable(f"{file}{where}: {getattr(error, 'problem', None) or error}") from None
    except RecursionError:
        raise PipelineUnavailable(f"The values of {file} are nested too deeply or contain themselves.") from None
    except InvalidInput as error:
        pointer = error.pointer or ""
        while pointer not in lines and pointer:
            pointer = pointer.rpartition("/")[0]
        raise PipelineUnavailable(f"{file}, line {lines.get(pointer, 1)}: {error.detail}") from None


def _lines(node: yaml.Node, pointer: str) -> Iterator[tuple[str, int]]:
    """Yield pointers and lines. Raises InvalidInput for a repeated key, of which YAML would silently take the last, and for values JSON lacks."""
    yield pointer, node.start_mark.line + 1
    _check(node, pointer)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            where = f"{pointer}/{key.value}"
            yield where, key.start_mark.line + 1
            if _kind(key) not in ("str", "merge"):
                raise InvalidInput(f"{key.value!r} is not a string. Put it in quotes.", pointer=where)
            if where in seen:
                raise InvalidInput(f"The key {key.value!r} is repeated.", pointer=where)
            seen.add(where)
            yield from ((inner, line) for inner, line in _lines(value, where) if inner != where)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, f"{pointer}/{index}")


def _check(node: yaml.Node, pointer: str) -> None:
    """Raise InvalidInput for a date, a set, infinity and other values that JSON lacks."""
    kind = _kind(node)
    if kind not in _KINDS:
        raise InvalidInput(f"JSON has no {kind}. Put text in quotes.", pointer=pointer)
    if kind in ("int", "float"):
        value = yaml.safe_load(node.value)
        if not math.isfinite(value) or (kind == "int" and not -(1 << 63) <= value < 1 << 63):
            raise InvalidInput(f"{node.value} is not a finite number of at most 64 bits.", pointer=pointer)


def _kind(node: yaml.Node) -> str:
    return str(node.tag.rpartition(":")[2])

"""What lies in the folder of a batch: what was found out of its file, and the parts of its output."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from app.core.batches import BatchSpec, Part
from app.core.errors import FileNotFound
from app.core.tables import TableOptions
from app.data.columns import Binding
from app.data.formats import Format
from app.data.line_index import Index
from app.data.openai_requests import Checked
from app.store.files import BATCHES, files, full, keep_until


@dataclass(frozen=True, slots=True)
class Plan:
    """Found out once, read by every chunk. `fingerprint` is of the file; `binding` None: it holds requests.

    `options` say how the file is read. `carried`: the types of columns of JSONL that are written in a format with types.
    """

    order: BatchSpec
    name: str
    format: Format
    output: Format
    rows: int
    fingerprint: str
    binding: Binding | None = None
    options: TableOptions = field(default_factory=TableOptions)
    carried: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """How far a file was looked through, kept between the jobs that plan a batch. `index` None: not begun."""

    fingerprint: str
    index: Index | None = None
    checked: Checked = field(default_factory=Checked)


class Folder:
    """`plan` must be written before the rest is used."""

    def __init__(self, batch: str) -> None:
        self.path = files().folder / BATCHES / batch

    def progress(self, fingerprint: str) -> Progress:
        """What earlier jobs found out about the file with this fingerprint; a fresh one if the file has changed since."""
        try:
            found = orjson.loads((self.path / "planning.json").read_bytes())
            if found["fingerprint"] == fingerprint:
                index = Index.load(self.path / "planning")
                return Progress(fingerprint, Index(index.entries, whole=found["whole"]), Checked(**found["checked"]))
        except FileNotFoundError:
            pass
        return Progress(fingerprint)

    def save_progress(self, progress: Progress, until: float) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        keep_until(self.path, until)
        assert progress.index is not None
        found = {"fingerprint": progress.fingerprint, "whole": progress.index.whole, "checked": asdict(progress.checked)}
        # In this order: an index that is ahead of the rest does no harm.
        progress.index.save(self.path / ".planning")
        (self.path / ".planning").replace(self.path / "planning")
        (self.path / ".planning.json").write_bytes(orjson.dumps(found))
        (self.path / ".planning.json").replace(self.path / "planning.json")

    def save(self, plan: Plan, index: Index | None, until: float) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        keep_until(self.path, until)
        if index is not None:
            index.save(self.path / "index")
        order = plan.order.as_dict()
        binding = plan.binding and {"inputs": plan.binding.inputs, "keep": plan.binding.keep, "rest": plan.binding.rest}
        found = {"order": order, "name": plan.name, "format": plan.format, "output": plan.output, "rows": plan.rows}
        found |= {"fingerprint": plan.fingerprint, "binding": binding, "options": plan.options.as_dict(), "carried": dict(plan.carried)}
        (self.path / "plan.json").write_bytes(orjson.dumps(found))

    def plan(self) -> Plan:
        """Raises FileNotFound where the batch's folder has gone."""
        try:
            found = orjson.loads((self.path / "plan.json").read_bytes())
        except FileNotFoundError:
            raise FileNotFound(f"the folder {self.path} of the batch has gone: do all processes mount CELERIAC_FILES?") from None
        bound = found["binding"]
        binding = bound and Binding(tuple(map(tuple, bound["inputs"])), tuple(bound["keep"]), bound.get("rest", False))
        order = BatchSpec.from_dict(found["order"])
        formats = Format(found["format"]), Format(found["output"])
        options = TableOptions.from_dict(found.get("options", {}))
        return Plan(order, found["name"], *formats, found["rows"], found.get("fingerprint", ""), binding, options, found.get("carried", {}))

    def index(self) -> Index:
        return Index.load(self.path / "index")

    def part(self, part: Part) -> Path:
        """The answers of these rows. What ended with so many rows from there is always the same, whoever wrote it."""
        return self.path / "parts" / f"{part.first:012d}-{part.count}"

    def errors(self, part: Part) -> Path:
        return self.path / "parts" / f"{part.first:012d}-{part.count}.errors"


class Draft:
    """A part that is being written, and the errors beside it; neither is there before `finish`."""

    def __init__(self, folder: Folder, first: int) -> None:
        self._folder = folder
        parts = folder.path / "parts"
        parts.mkdir(parents=True, exist_ok=True)
        self._half = parts / f".{first}.{os.urandom(6).hex()}"
        self.file: IO[bytes] = self._half.open("w+b")
        self._errors: IO[bytes] | None = None

    def told(self, errors: list[dict[str, Any]]) -> None:
        """Lines of the error file."""
        if errors and self._errors is None:
            self._errors = self._half.with_suffix(".errors").open("wb")
        if self._errors is not None:
            self._errors.write(b"".join(orjson.dumps(one, default=str, option=orjson.OPT_APPEND_NEWLINE) for one in errors))

    def finish(self, part: Part) -> None:
        for file, place in ((self.file, self._folder.part(part)), (self._errors, self._folder.errors(part))):
            if file is not None:
                file.flush()
                os.fsync(file.fileno())
                Path(str(file.name)).replace(place)

    def close(self) -> None:
        for file in (self.file, self._errors):
            if file is not None:
                # A full disk refuses what is buffered once more.
                with suppress(OSError):
                    file.close()
                Path(str(file.name)).unlink(missing_ok=True)


@contextmanager
def drafting(folder: Folder, first: int) -> Iterator[Draft]:
    """Raises StorageFull where the disk is full."""
    try:
        draft = Draft(folder, first)
        try:
            yield draft
        finally:
            draft.close()
    except OSError as error:
        raise full(error) or error from None

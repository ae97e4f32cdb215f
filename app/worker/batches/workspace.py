"""The workspace of a batch, a folder or a prefix in a bucket: the plan made from its file, and the parts of its output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Final

import orjson

from app.core.batches import BatchSpec, Part
from app.core.errors import FileNotFound
from app.core.tables import TableOptions
from app.data.columns import Binding
from app.data.formats import Format
from app.data.line_index import Index
from app.data.openai_requests import Checked
from app.store.batch_folders import Content, part_name
from app.store.files import files, full

_ERRORS: Final = ".errors"


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a batch: made once, read by every chunk.

    `fingerprint` identifies the file. Without a `binding` the file holds requests. `options` say how the file is read. `carried` has
    the types of JSONL columns that are written in a format with types.
    """

    spec: BatchSpec
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
    """How far a file has been read, kept between the jobs that plan a batch. Without an `index` none has begun."""

    fingerprint: str
    index: Index | None = None
    checked: Checked = field(default_factory=Checked)


class Workspace:
    """The folder of a batch. `save` writes the plan, which everything else needs."""

    def __init__(self, batch: str) -> None:
        """Name the folder. Nothing is written yet.

        Args:
            batch: The batch's id.
        """
        self.folder = files().batch(batch)

    def progress(self, fingerprint: str) -> Progress:
        """Return the progress of earlier jobs on the file with this fingerprint; a new one if the file has changed since."""
        try:
            data = orjson.loads(self.folder.read("planning.json"))
            if data["fingerprint"] == fingerprint:
                index = Index.unpack(self.folder.read("planning"))
                return Progress(fingerprint, Index(index.entries, whole=data["whole"]), Checked(**data["checked"]))
        except FileNotFoundError:
            pass
        return Progress(fingerprint)

    def save_progress(self, progress: Progress, until: float) -> None:
        """Save the progress. The workspace is kept until `until`, in seconds since 1970."""
        self.folder.keep_until(until)
        assert progress.index is not None
        data = {"fingerprint": progress.fingerprint, "whole": progress.index.whole, "checked": asdict(progress.checked)}
        # In this order: an index that is ahead of the rest does no harm.
        self.folder.write("planning", progress.index.pack())
        self.folder.write("planning.json", orjson.dumps(data))

    def save(self, plan: Plan, index: Index | None, until: float) -> None:
        """Save the plan and the index of its file. The workspace is kept until `until`, in seconds since 1970."""
        self.folder.keep_until(until)
        if index is not None:
            self.folder.write("index", index.pack())
        spec = plan.spec.as_dict()
        binding = plan.binding and {"inputs": plan.binding.inputs, "keep": plan.binding.keep, "rest": plan.binding.rest}
        data = {"order": spec, "name": plan.name, "format": plan.format, "output": plan.output, "rows": plan.rows}
        data |= {"fingerprint": plan.fingerprint, "binding": binding, "options": plan.options.as_dict(), "carried": dict(plan.carried)}
        self.folder.write("plan.json", orjson.dumps(data))

    def plan(self) -> Plan:
        """Return the plan.

        Raises:
            FileNotFound: The folder has gone.
        """
        try:
            data = orjson.loads(self.folder.read("plan.json"))
        except FileNotFoundError:
            raise FileNotFound(
                f"The folder {self.folder} of the batch is gone. Set CELERIAC_FILES to the same place in all processes."
            ) from None
        bound = data["binding"]
        binding = bound and Binding(tuple(map(tuple, bound["inputs"])), tuple(bound["keep"]), bound.get("rest", False))
        spec = BatchSpec.from_dict(data["order"])
        formats = Format(data["format"]), Format(data["output"])
        options = TableOptions.from_dict(data.get("options", {}))
        return Plan(spec, data["name"], *formats, data["rows"], data.get("fingerprint", ""), binding, options, data.get("carried", {}))

    def index(self) -> Index:
        """Return the index of the file."""
        return Index.unpack(self.folder.read("index"))

    def part(self, part: Part) -> Content:
        """Return the answers of these rows. A part with the same rows is always the same, whichever process wrote it."""
        return self.folder.content(part_name(part))

    def errors(self, part: Part) -> Content:
        """Return the errors of these rows."""
        return self.folder.content(f"{part_name(part)}{_ERRORS}")


class Draft:
    """A part that is being written, and the errors beside it. Neither has its final name before `finish`."""

    def __init__(self, workspace: Workspace, first: int) -> None:
        """Open the files of a part.

        Args:
            workspace: The batch's folder.
            first: The first row of the part.
        """
        self._folder = workspace.folder
        self._name = part_name(Part(first, 0, 0, 0))
        self.file: IO[bytes] = self._folder.draft(self._name)
        self._errors: IO[bytes] | None = None

    def write_errors(self, errors: list[dict[str, Any]]) -> None:
        """Add lines to the error file."""
        if errors and self._errors is None:
            self._errors = self._folder.draft(f"{self._name}{_ERRORS}")
        if self._errors is not None:
            self._errors.write(b"".join(orjson.dumps(error, default=str, option=orjson.OPT_APPEND_NEWLINE) for error in errors))

    def finish(self, part: Part) -> None:
        """Give the files their names."""
        self._folder.take(self.file, part_name(part))
        if self._errors is not None:
            self._folder.take(self._errors, f"{part_name(part)}{_ERRORS}")

    def close(self) -> None:
        """Remove the files, unless `finish` came first."""
        for file in (self.file, self._errors):
            if file is not None:
                self._folder.discard(file)


@contextmanager
def drafting(workspace: Workspace, first: int) -> Iterator[Draft]:
    """Write a part in the block.

    Raises:
        StorageFull: The disk is full.
    """
    try:
        draft = Draft(workspace, first)
        try:
            yield draft
        finally:
            draft.close()
    except OSError as error:
        raise full(error) or error from None

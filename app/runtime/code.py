"""A version that is Python: `model.py` with `predict(inputs)`, and what else it wants to have of these.

load(folder)           once a process: reads what lies beside it, and may return an object that has the functions below
predict(inputs)        one row: `{input: value}` -> `{output: value}`, or the value itself where one output is declared
                       where the version says `stream`, a generator of the pieces of its one text
predict_batch(inputs)  instead: the rows of several callers at once, `{input: array}` -> `{output: array}`
warm_up()              before the first prediction

Numbers come as NumPy arrays or scalars; BYTES as str, or as bytes where they are no UTF-8.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from app.core.errors import CeleriacError, InvalidOutput, ModelUnavailable, error_text
from app.core.models import Manifest, TensorSpec
from app.core.tensors import Tensor
from app.runtime.arrays import DTYPES, Array, to_array
from app.runtime.importing import load
from app.runtime.model import Model
from app.runtime.streaming import whole


class CodeModel(Model):
    """Loads itself when it is first asked, so that it can be held by a process that never asks it."""

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        """Load the code in `folder`."""
        super().__init__(manifest, None)
        self._folder = folder.resolve()

    def load(self) -> None:
        """Raises ModelUnavailable with what its code raised, and where."""
        if self.estimator is not None:
            return
        with self._telling("cannot be loaded"):
            code = load(self._folder)
        if not hasattr(code, "predict") and not hasattr(code, "predict_batch"):
            raise ModelUnavailable(f"{self} has neither predict(inputs) nor predict_batch(inputs) in its model.py")
        self._check_stream(getattr(code, "predict", None))
        self.estimator = code

    @property
    def joins(self) -> bool:
        """Does one call answer several rows, of several callers? Once it is loaded."""
        return not self.manifest.stream and hasattr(self.estimator, "predict_batch")

    def verify(self) -> None:
        """Loads it, warms it up, and asks the golden sample. Raises ModelUnavailable."""
        self.load()
        with self._telling("cannot warm up"):
            getattr(self.estimator, "warm_up", lambda: None)()
        super().verify()

    def predict(self, inputs: Sequence[Tensor], outputs: Sequence[str] = ()) -> list[Tensor]:
        """As every model; what it raises has only its own frames in the traceback."""
        self.load()
        try:
            return super().predict(inputs, outputs)
        except CeleriacError as error:
            if error.__cause__ is not None:
                error.__cause__.__traceback__ = self._own(error.__cause__) or error.__cause__.__traceback__
            raise

    def _answers(self, inputs: Sequence[Tensor], specs: Sequence[TensorSpec], rows: int) -> list[Any]:
        known = self.manifest.inputs
        arrays = {spec.name: to_array(tensor, nullable=spec.empty_is_missing) for tensor, spec in zip(inputs, known, strict=True)}
        if self.joins:
            answers = self._named(self.estimator.predict_batch(arrays), specs, "predict_batch")
            return [_fitted(spec, answers[spec.name]) for spec in specs]
        if self.manifest.stream:
            streams = (self.estimator.predict({name: array[row] for name, array in arrays.items()}) for row in range(rows))
            return [_fitted(specs[0], [whole(row, stream) for row, stream in enumerate(streams)])]
        # A list: a generator would tell a StopIteration of that code as an error of ours.
        called = [self.estimator.predict({name: array[row] for name, array in arrays.items()}) for row in range(rows)]
        answered = [self._named(answer, specs, "predict") for answer in called]
        return [_fitted(spec, [answer[spec.name] for answer in answered]) for spec in specs]

    def _check_stream(self, predict: Any) -> None:
        if self.manifest.stream and predict is None:
            raise ModelUnavailable(f"{self} says `stream: true`, and its model.py has no predict(inputs) to yield text")
        if not self.manifest.stream and inspect.isgeneratorfunction(predict):
            raise ModelUnavailable(f"{self} has a predict that yields: write `stream: true` into its model.yaml")

    def _named(self, answer: Any, specs: Sequence[TensorSpec], function: str) -> dict[str, Any]:
        found = answer if isinstance(answer, dict) else {self.manifest.outputs[0].name: answer}
        missing = [spec.name for spec in specs if spec.name not in found]
        if missing:
            there = ", ".join(spec.name for spec in self.manifest.outputs)
            raise InvalidOutput(f"{function} answered no {missing[0]!r}: return a dict with {there}")
        return found

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:
            own = self._own(error)
            if isinstance(error, SystemExit) and own is None:
                raise  # the process is told to end
            place = f" (line {own.tb_lineno} of {Path(own.tb_frame.f_code.co_filename).name})" if own else ""
            raise ModelUnavailable(f"{self} {what}: {error_text(error)}{place}") from error

    def _own(self, error: BaseException) -> TracebackType | None:
        """The traceback from the first frame of the version's own code on, if it has one."""
        at = error.__traceback__
        while at is not None and not Path(at.tb_frame.f_code.co_filename).is_relative_to(self._folder):
            at = at.tb_next
        return at


def _fitted(spec: TensorSpec, values: Any) -> Any:
    """Answers of plain Python, or of a wider float, as the declared datatype. What does not fit is left for `to_tensor` to tell."""
    if spec.datatype == "BYTES":
        # NumPy's own bytes drop the zeros at their end.
        return values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    try:
        array: Array = np.asarray(values)
    except ValueError:
        raise InvalidOutput(f"{spec.name!r} answered rows of different shapes") from None
    wanted = DTYPES[spec.datatype]
    if array.dtype.kind in "iuf" and wanted.kind in "iuf" and array.dtype != wanted:
        cast: Array = array.astype(wanted)
        if wanted.kind == "f" or (array.dtype.kind != "f" and (cast == array).all()):
            return cast
    return array

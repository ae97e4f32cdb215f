"""Models in Python: a folder with `model.py`, which has `predict` or `predict_batch` and optionally the other functions.

load(folder)           called once per process to read other files; may return an object that has the functions below
predict(inputs)        one row: `{input: value}` -> `{output: value}`, or the value itself if the model has one output;
                       with `stream: true`, a generator of the tokens of its text
predict_batch(inputs)  used instead of predict: rows of several callers at once, `{input: array}` -> `{output: array}`
warm_up()              called before the first prediction

Numbers are NumPy arrays or scalars. BYTES are str, or bytes if they are not UTF-8.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
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
from app.runtime.requirements import load_problem
from app.runtime.streaming import collected


class CodeModel(Model):
    """A model that loads its code at the first prediction, so that a process that never predicts does not load it."""

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        """Load the code in `folder`."""
        super().__init__(manifest, None)
        self._folder = folder.resolve()

    def load(self) -> None:
        """Load the code. Raises ModelUnavailable with the exception of the code and its line."""
        if self.estimator is not None:
            return
        with self._reported(lambda error: load_problem(str(self), error, self.manifest.requires or ())):
            code = load(self._folder)
        if not hasattr(code, "predict") and not hasattr(code, "predict_batch"):
            raise ModelUnavailable(f"{self} must define predict(inputs) or predict_batch(inputs) in model.py.")
        self._check_stream(getattr(code, "predict", None))
        self.estimator = code

    @property
    def joins(self) -> bool:
        """Whether one call predicts several rows of several callers. Valid once the model is loaded."""
        return not self.manifest.stream and hasattr(self.estimator, "predict_batch")

    def verify(self) -> None:
        """Load and warm up the model, and check its golden sample. Raises ModelUnavailable."""
        self.load()
        with self._reported(lambda error: f"{self} cannot warm up: {error_text(error)}"):
            getattr(self.estimator, "warm_up", lambda: None)()
        super().verify()

    def predict(self, inputs: Sequence[Tensor], outputs: Sequence[str] = ()) -> list[Tensor]:
        """Predict as every model does. Tracebacks of its exceptions contain only frames of its own code."""
        self.load()
        try:
            return super().predict(inputs, outputs)
        except CeleriacError as error:
            if error.__cause__ is not None:
                error.__cause__.__traceback__ = self._own(error.__cause__) or error.__cause__.__traceback__
            raise

    def _answers(self, inputs: Sequence[Tensor], specs: Sequence[TensorSpec], rows: int) -> list[Any]:
        pairs = zip(inputs, self.manifest.inputs, strict=True)
        arrays = {spec.name: to_array(tensor, nullable=spec.empty_is_missing) for tensor, spec in pairs}
        if self.joins:
            answers = self._named(self.estimator.predict_batch(arrays), specs, "predict_batch")
            return [_fitted(spec, answers[spec.name]) for spec in specs]
        if self.manifest.stream:
            streams = (self.estimator.predict({name: array[row] for name, array in arrays.items()}) for row in range(rows))
            return [_fitted(specs[0], [collected(row, stream) for row, stream in enumerate(streams)])]
        # A list, because a generator would turn a StopIteration of that code into a RuntimeError.
        called = [self.estimator.predict({name: array[row] for name, array in arrays.items()}) for row in range(rows)]
        answered = [self._named(answer, specs, "predict") for answer in called]
        return [_fitted(spec, [answer[spec.name] for answer in answered]) for spec in specs]

    def _check_stream(self, predict: Any) -> None:
        if self.manifest.stream and predict is None:
            raise ModelUnavailable(f"{self} has `stream: true` in model.yaml, so model.py must define predict(inputs) that yields text.")
        if not self.manifest.stream and inspect.isgeneratorfunction(predict):
            raise ModelUnavailable(f"{self} has a predict function that yields. Set `stream: true` in model.yaml.")

    def _named(self, answer: Any, specs: Sequence[TensorSpec], function: str) -> dict[str, Any]:
        outputs = answer if isinstance(answer, dict) else {self.manifest.outputs[0].name: answer}
        missing = [spec.name for spec in specs if spec.name not in outputs]
        if missing:
            names = ", ".join(spec.name for spec in self.manifest.outputs)
            raise InvalidOutput(f"{function} returned no value for {missing[0]!r}. Return a dict with {names}.")
        return outputs

    @contextmanager
    def _reported(self, problem: Callable[[BaseException], str]) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:
            own = self._own(error)
            if isinstance(error, SystemExit) and own is None:
                raise  # the pool ends this process
            place = f" (line {own.tb_lineno} of {Path(own.tb_frame.f_code.co_filename).name})" if own else ""
            raise ModelUnavailable(f"{problem(error)}{place}") from error

    def _own(self, error: BaseException) -> TracebackType | None:
        """Return the traceback from the first frame of the model's own code, or None if there is none."""
        at = error.__traceback__
        while at is not None and not Path(at.tb_frame.f_code.co_filename).is_relative_to(self._folder):
            at = at.tb_next
        return at


def _fitted(spec: TensorSpec, values: Any) -> Any:
    """Convert plain Python values and wider floats to the declared datatype. `to_tensor` reports values that do not fit."""
    if spec.datatype == "BYTES":
        # NumPy's bytes type drops trailing zeros.
        return values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    try:
        array: Array = np.asarray(values)
    except ValueError:
        raise InvalidOutput(f"Output {spec.name!r} has rows of different shapes.") from None
    wanted = DTYPES[spec.datatype]
    if array.dtype.kind in "iuf" and wanted.kind in "iuf" and array.dtype != wanted:
        cast: Array = array.astype(wanted)
        if wanted.kind == "f" or (array.dtype.kind != "f" and (cast == array).all()):
            return cast
    return array

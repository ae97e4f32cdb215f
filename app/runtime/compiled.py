"""Estimators compiled to ONNX. Predicting one row with a forest takes a hundredth of the time that scikit-learn needs.

Trees compare single-precision features, in scikit-learn too, so they are compiled for FP32 and the rows are rounded as
scikit-learn rounds them; everything else is compiled for FP64. Publishing compares the outputs with those of the estimator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import IO, Final

import numpy as np

from app.runtime.arrays import Array
from app.runtime.graph import Graph

ANSWERS: Final = {"predict": ("label", "variable", "GPmean"), "predict_proba": ("probabilities",), "transform": ("variable",)}
"""Method -> possible names of the graph's output."""


class Compiled:
    """A graph with the methods of the estimator that it was compiled from."""

    def __init__(self, graph: Graph) -> None:
        """Predict with a graph."""
        self._graph = graph

    def predict(self, rows: Array) -> Array:
        """Return the prediction of each row."""
        return self._run("predict", rows)

    @property
    def predict_proba(self) -> Callable[[Array], Array]:
        """Return the class probabilities of each row."""
        return self._method("predict_proba")

    @property
    def transform(self) -> Callable[[Array], Array]:
        """Return the transformed rows."""
        return self._method("transform")

    @cached_property
    def _ends(self) -> tuple[str, type, dict[str, list[str]]]:
        """Name of the input, its type, and method -> outputs."""
        (entry,) = self._graph.session.get_inputs()
        names = {output.name for output in self._graph.session.get_outputs()}
        outputs = {method: [name] for method, candidates in ANSWERS.items() for name in candidates if name in names}
        return entry.name, np.float32 if entry.type == "tensor(float)" else np.float64, outputs

    def _method(self, method: str) -> Callable[[Array], Array]:
        """Return a method. Raises AttributeError if the graph lacks its output, so that the estimator lacks the method."""
        if method not in self._ends[2]:
            raise AttributeError(f"the graph has no output for {method}", name=method, obj=self)
        return partial(self._run, method)

    def _run(self, method: str, rows: Array) -> Array:
        name, dtype, outputs = self._ends
        values: Array = rows.astype(dtype, copy=False)
        # scikit-learn rejects infinity, too. Numbers that are too large for FP32 become infinite by the conversion.
        if np.isinf(values).any():
            raise ValueError(f"the input contains infinity or a value too large for {values.dtype}")
        answer: Array
        (answer,) = self._graph.session.run(outputs[method], {name: values})
        # The graph of a regressor with one target returns a column.
        return answer.ravel() if method == "predict" and answer.size == len(rows) else answer


def read_onnx(file: IO[bytes], device: str = "cpu") -> Compiled:
    """Load a compiled estimator."""
    return Compiled(Graph(file, device))

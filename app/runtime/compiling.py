"""Compiling of estimators to ONNX. Only publishing needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import BaseEnsemble
from sklearn.pipeline import Pipeline
from sklearn.tree import BaseDecisionTree


def write_onnx(estimator: Any, path: Path) -> None:
    """Compile an estimator into a file. Raises the exceptions of skl2onnx, such as NotImplementedError, if it cannot be converted."""
    # Only publishing needs the compiler.
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    trees = isinstance(last, BaseDecisionTree) or (isinstance(last, BaseEnsemble) and _of_trees(last))
    kind = FloatTensorType if trees else DoubleTensorType
    options = {id(last): {"zipmap": False}} if hasattr(last, "classes_") else None
    graph = to_onnx(estimator, initial_types=[("input", kind([None, estimator.n_features_in_]))], options=options)
    path.write_bytes(graph.SerializeToString())


def _of_trees(ensemble: BaseEnsemble) -> bool:
    members = np.ravel(np.asarray(ensemble.estimators_, dtype=object))
    return all(isinstance(member, BaseDecisionTree) for member in members)

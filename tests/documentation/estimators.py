"""docs/reference/scikit-learn.md, made by publishing every estimator of scikit-learn: `python -m tests.documentation.estimators`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import sklearn

from tests.runtime.catalog import Row, rows

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "scikit-learn.md"
_OPENING: Final = """# What is served of scikit-learn

Every estimator of scikit-learn {version}, fitted, published, and asked over the same path as a request. The answers equal those of the
estimator in the process that trained it. This page is written by `python -m tests.documentation.estimators`, and a test compares it.

- **Format** is the one that `celeriac models publish` chooses: `skops`, or `joblib` for an estimator that skops does not save.
- **Bare** says whether a `model.joblib` without a manifest is served: its inputs are then found out by asking the estimator.
- **ONNX** says whether `--format onnx` is accepted. Estimators around other estimators were fitted on text and numbers here;
  only models of numbers are compiled.
- **Methods** are the outputs that a request can name as `method`; the first one is the default. `kneighbors` answers the indices of the
  nearest training rows, and `kneighbors_distance` their distances. `predict_proba` of several targets has the shape
  (rows, targets, classes).

| estimator | format | bare | ONNX | methods |
|---|---|---|---|---|
"""
_REFUSED: Final = """
## Not served

These have no method that answers new rows, or they do not take or answer one value for each row. Publishing refuses them.

| estimator | why |
|---|---|
"""


def page(estimators: Sequence[Row]) -> str:
    served = "".join(
        f"| {row.name} | {row.published} | {_word(row.bare)} | {_compiled(row.onnx)} | {', '.join(row.outputs)} |\n"
        for row in estimators
        if row.outputs
    )
    refused = "".join(f"| {row.name} | {row.published.replace('|', chr(92) + '|')} |\n" for row in estimators if not row.outputs)
    return _OPENING.format(version=sklearn.__version__) + served + _REFUSED + refused


def _word(cell: str) -> str:
    return "yes" if cell == "yes" else "needs a sample"


def _compiled(cell: str) -> str:
    return "yes" if cell == "yes" else "numbers only" if cell.startswith("Only models with one numeric input") else "no"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(list(rows())))

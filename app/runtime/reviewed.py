"""Reviewed types that a skops file may hold in addition to those that skops trusts.

Each of them holds arrays, numbers and other estimators, or is a function that computes a number from arrays. None of them opens a
file, a connection or a process. They call only functions that are in this list, and none that a file can choose freely. A forged
tree can still read out of bounds, which ends the process. That is the price for forests, limited by the sha256 of the artifact.
"""

from __future__ import annotations

import inspect
from functools import cache
from types import ModuleType
from typing import Any, Final

_CLASSES: Final = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "scipy.interpolate._bsplines.BSpline",
    "scipy.sparse._csc.csc_matrix",
    "scipy.sparse._csr.csr_matrix",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.impute._iterative._ImputerTriplet",
    "sklearn.metrics._scorer._CurveScorer",
    "sklearn.metrics._scorer._MultimetricScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.multiclass._ConstantPredictor",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._ball_tree.BallTree32",
    "sklearn.neighbors._ball_tree.BallTree64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._kd_tree.KDTree32",
    "sklearn.neighbors._kd_tree.KDTree64",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.preprocessing._function_transformer._identity",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
)
_FUNCTIONS: Final = (
    "numpy.amax", "numpy.amin", "numpy.max", "numpy.mean", "numpy.median", "numpy.min", "numpy.sum",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "sklearn.cluster._kmeans._kmeans_single_elkan", "sklearn.cluster._kmeans._kmeans_single_lloyd",
)  # fmt: skip


@cache
def trusted() -> tuple[str, ...]:
    """Return the full names of the types, for `skops.io.load(trusted=…)`."""
    # Only reading a skops file needs them.
    from sklearn import feature_selection
    from sklearn._loss import link, loss
    from sklearn.feature_selection import _mutual_info, _univariate_selection
    from sklearn.gaussian_process import kernels
    from sklearn.metrics import _dist_metrics, get_scorer, get_scorer_names
    from sklearn.model_selection import _split

    scores = [get_scorer(name)._score_func for name in get_scorer_names()]
    selections = [getattr(feature_selection, name) for name in feature_selection.__all__]
    kinds = [
        *_classes_in(loss), *_classes_in(link), *_classes_in(kernels),
        # A distance of this kind calls a function of its own.
        *(kind for kind in _classes_in(_dist_metrics) if not kind.__name__.startswith("PyFunc")),
        *(kind for kind in _classes_in(_split) if hasattr(kind, "split")),
        *scores, *(scorer for scorer in selections if scorer.__module__ in (_mutual_info.__name__, _univariate_selection.__name__)),
    ]  # fmt: skip
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in kinds}
    return tuple(sorted(names.union(_CLASSES, _FUNCTIONS)))


def _classes_in(module: ModuleType) -> list[Any]:
    return [kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]

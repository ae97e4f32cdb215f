"""The estimators of scikit-learn that a training may name, and the parameters that it may set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """What an estimator learns."""

    CLASSIFIER = "classifier"
    REGRESSOR = "regressor"


METRICS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.CLASSIFIER: ("accuracy", "balanced_accuracy", "f1_macro"),
    Kind.REGRESSOR: ("r2", "mean_absolute_error", "root_mean_squared_error"),
}
"""What is measured of each kind; a search chooses by the first."""
LESS_IS_BETTER: Final = frozenset({"mean_absolute_error", "root_mean_squared_error"})


@dataclass(frozen=True, slots=True)
class Estimator:
    """`path` is where scikit-learn has it, `params` what a caller may set, `fixed` what is set for every caller.

    Left out is what concerns the machine (`n_jobs`), output (`verbose`), or takes functions and estimators.
    """

    path: str
    kind: Kind
    params: tuple[str, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)


def _estimator(path: str, kind: Kind, params: str, **fixed: Any) -> Estimator:
    return Estimator(f"sklearn.{path}", kind, tuple(params.split()), fixed)


_TREE = "max_depth min_samples_split min_samples_leaf max_features max_leaf_nodes min_impurity_decrease ccp_alpha criterion random_state"
_FOREST = f"n_estimators bootstrap max_samples {_TREE}"
_BOOSTED = "learning_rate max_iter max_leaf_nodes max_depth min_samples_leaf l2_regularization max_features max_bins early_stopping validation_fraction n_iter_no_change tol random_state"
_NEIGHBORS = "n_neighbors weights algorithm leaf_size p"
_NETWORK = "hidden_layer_sizes activation alpha batch_size learning_rate_init max_iter tol early_stopping validation_fraction n_iter_no_change random_state"
_C, _R = Kind.CLASSIFIER, Kind.REGRESSOR

ESTIMATORS: Final[dict[str, Estimator]] = {
    "logistic-regression": _estimator("linear_model.LogisticRegression", _C, "C l1_ratio tol fit_intercept class_weight solver max_iter random_state", max_iter=1000),
    "ridge-classifier": _estimator("linear_model.RidgeClassifier", _C, "alpha fit_intercept max_iter tol class_weight solver random_state"),
    "k-neighbors-classifier": _estimator("neighbors.KNeighborsClassifier", _C, _NEIGHBORS),
    "gaussian-nb": _estimator("naive_bayes.GaussianNB", _C, "var_smoothing"),
    "svc": _estimator("svm.SVC", _C, "C kernel degree gamma coef0 tol class_weight max_iter random_state"),
    "decision-tree-classifier": _estimator("tree.DecisionTreeClassifier", _C, f"{_TREE} splitter class_weight"),
    "random-forest-classifier": _estimator("ensemble.RandomForestClassifier", _C, f"{_FOREST} class_weight"),
    "extra-trees-classifier": _estimator("ensemble.ExtraTreesClassifier", _C, f"{_FOREST} class_weight"),
    "hist-gradient-boosting-classifier": _estimator("ensemble.HistGradientBoostingClassifier", _C, f"{_BOOSTED} class_weight"),
    "mlp-classifier": _estimator("neural_network.MLPClassifier", _C, _NETWORK),
    "linear-regression": _estimator("linear_model.LinearRegression", _R, "fit_intercept positive tol"),
    "ridge": _estimator("linear_model.Ridge", _R, "alpha fit_intercept max_iter tol solver positive random_state"),
    "lasso": _estimator("linear_model.Lasso", _R, "alpha fit_intercept max_iter tol positive selection random_state"),
    "elastic-net": _estimator("linear_model.ElasticNet", _R, "alpha l1_ratio fit_intercept max_iter tol positive selection random_state"),
    "k-neighbors-regressor": _estimator("neighbors.KNeighborsRegressor", _R, _NEIGHBORS),
    "svr": _estimator("svm.SVR", _R, "C epsilon kernel degree gamma coef0 tol max_iter"),
    "decision-tree-regressor": _estimator("tree.DecisionTreeRegressor", _R, f"{_TREE} splitter"),
    "random-forest-regressor": _estimator("ensemble.RandomForestRegressor", _R, _FOREST),
    "extra-trees-regressor": _estimator("ensemble.ExtraTreesRegressor", _R, _FOREST),
    "hist-gradient-boosting-regressor": _estimator("ensemble.HistGradientBoostingRegressor", _R, f"{_BOOSTED} loss quantile"),
    "mlp-regressor": _estimator("neural_network.MLPRegressor", _R, _NETWORK),
}  # fmt: skip
"""Short name -> estimator. Numbers are imputed and scaled before it, categories one-hot encoded."""

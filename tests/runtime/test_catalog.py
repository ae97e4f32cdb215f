from __future__ import annotations

import pytest

from app.runtime.methods import METHODS
from tests.documentation.estimators import PAGE, page
from tests.runtime.catalog import Row, kinds, rows

pytestmark = pytest.mark.extended


@pytest.fixture(scope="module")
def catalog() -> list[Row]:
    """Every estimator, published, bare and compiled: what is served answers as the estimator does, or this raises."""
    return list(rows())


def test_every_estimator_that_answers_rows_is_served(catalog: list[Row]) -> None:
    refused = {row.name for row in catalog if not row.outputs}
    without = {name for name, kind in kinds() if not any(hasattr(kind, method) for method in METHODS)}
    without.discard("FrozenEstimator")  # has what the estimator in it has
    # Dictionaries are not rows, and patches are more of them than there are images.
    assert refused == without | {"DictVectorizer", "FeatureHasher", "PatchExtractor"}


def test_every_bare_estimator_is_served_without_a_sample(catalog: list[Row]) -> None:
    assert {row.name: row.bare for row in catalog if row.outputs and row.bare != "yes"} == {}


def test_skops_reads_all_but_one(catalog: list[Row]) -> None:
    assert [row.name for row in catalog if row.published == "joblib"] == ["Birch"]


def test_the_page_says_what_is_served(catalog: list[Row]) -> None:
    assert PAGE.read_text() == page(catalog), "run python -m tests.documentation.estimators"

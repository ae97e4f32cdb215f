from __future__ import annotations

from dataclasses import replace

from app.core.models import Manifest, TensorSpec
from app.core.observations import Observations
from app.core.profiles import ColumnProfile, Profile
from app.core.tensors import Tensor, encode

SPEC = TensorSpec("x", "FP64", (-1,))
PROFILE = Profile((ColumnProfile("x", 0, "x", 0, counts=(5,), edges=(0.0, 1.0)),), ())
MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "0" * 64, (SPEC,), (SPEC,), profile=PROFILE)


def tensor(rows: int, name: str = "x") -> Tensor:
    return Tensor(name, "FP64", (rows,), encode([0.0] * rows, "FP64"))


def test_rows_are_kept_by_version_until_they_are_taken() -> None:
    observations = Observations(10_000)
    for version in ("1", "2", "1"):
        observations.add(replace(MANIFEST, version=version), [tensor(2)], [[tensor(2, "other")]])
    observed, dropped = observations.take()
    assert [(each.manifest.version, each.rows, len(each.tensors)) for each in observed] == [("1", 4, 2), ("2", 2, 1)]
    assert dropped == 0
    assert observations.take() == ([], 0)


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    observations = Observations(1000)
    for rows in (10, 100, 20):
        observations.add(MANIFEST, [tensor(rows)], [])
    [observed], dropped = observations.take()
    assert (observed.rows, dropped) == (30, 100)


def test_a_version_without_a_profile_is_not_observed() -> None:
    observations = Observations(1000)
    observations.add(replace(MANIFEST, profile=None), [tensor(1000)], [])
    assert observations.take() == ([], 0)

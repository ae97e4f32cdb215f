"""One image for all, and another for a pool that needs it."""

from __future__ import annotations

import pytest

from tests.chart.helm import pods


@pytest.mark.parametrize(
    ("own", "image"),
    [
        ({}, "registry.example/celeriac@sha256:aa"),
        ({"tag": "gpu"}, "registry.example/celeriac:gpu"),
        ({"repository": "torch", "tag": "3"}, "torch:3"),
        ({"digest": "sha256:bb"}, "registry.example/celeriac@sha256:bb"),
    ],
)
def test_a_pool_may_have_an_image_of_its_own(own: dict[str, str], image: str) -> None:
    found = pods(image={"repository": "registry.example/celeriac", "digest": "sha256:aa"}, pools__own={"image": own})
    assert found["demo-celeriac-worker-own"]["containers"][0]["image"] == image
    assert found["demo-celeriac-worker-default"]["containers"][0]["image"] == "registry.example/celeriac@sha256:aa"

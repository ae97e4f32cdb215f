"""A mistake in the values is told in words, and never ends in a crash loop that says nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import release_in
from tests.cluster.kube import until
from tests.cluster.release import Release


@pytest.fixture
def mistaken(context: str) -> Iterator[Release]:
    made = release_in(context, "celeriac-mistaken")
    made.at.delete()
    made.at.create()
    yield made
    made.at.delete()


def test_a_secret_that_is_not_there_is_named_in_the_notes_and_in_an_event(mistaken: Release) -> None:
    told = mistaken.upgrade("--set=redis.bundled.existingSecret=typo,flower.enabled=false", wait=False)
    assert "The Secret typo was not seen" in told

    def events() -> str:
        return mistaken.at.kubectl("get", "events", "-o", "jsonpath={.items[*].message}")

    until("the event", lambda: 'secret "typo" not found' in events(), 60)
    for pod in mistaken.at.get("pods", "-l", "app.kubernetes.io/component in (api, worker, redis)")["items"]:
        assert not any(status["restartCount"] for status in pod["status"].get("containerStatuses", []))

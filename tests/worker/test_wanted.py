"""Which versions a worker wants, while others change the repository that it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.registry.repository import Repository
from app.store.serving import Serving
from app.worker.models import Wanted
from tests.registry.conftest import write


class Changing(Repository):
    """Another process changes it after the first file that is read."""

    def __init__(self, root: Path, change: Callable[[Repository], Any]) -> None:
        super().__init__(root)
        self._change: Callable[[Repository], Any] | None = change

    def _once(self, found: Any) -> Any:
        change, self._change = self._change, None
        if change:
            change(Repository(self.root))
        return found

    def versions(self, name: str) -> list[str]:
        return list(self._once(super().versions(name)))

    def aliases(self, name: str) -> dict[str, str]:
        return dict(self._once(super().aliases(name)))

    def promotions(self, name: str) -> dict[str, Any]:
        return dict(self._once(super().promotions(name)))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    repository = Repository(tmp_path / "models")
    repository.publish("digits", write)
    repository.request_promotion("digits", "production", "1")
    return repository.root


def publish_and_promote(repository: Repository) -> None:
    repository.publish("digits", write)
    repository.request_promotion("digits", "production", "2")


def test_a_version_that_is_published_meanwhile_is_not_taken_for_a_removed_one(root: Path) -> None:
    wanted = Wanted.look(Changing(root, publish_and_promote), frozenset(), Serving())
    assert {("digits", request.version) for request in wanted.requests.values()} <= wanted.keys


def test_a_promotion_that_is_settled_meanwhile_is_not_undone(root: Path) -> None:
    publish_and_promote(Repository(root))
    request = Repository(root).promotions("digits")["production"]

    def settle(repository: Repository) -> None:
        repository.settle("digits", request)

    assert Wanted.look(Changing(root, settle), frozenset(), Serving()).targets["digits", "production"] == "2"
    publish_and_promote(Repository(root))
    Repository(root).request_promotion("digits", "production", "3")
    request = Repository(root).promotions("digits")["production"]
    assert Changing(root, settle).target("digits", "production") == "3"

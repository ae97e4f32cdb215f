"""The systems that the benchmark starts answer rightly, so that a run of an hour does not end in its first minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.artefacts import Artefacts, make
from tests.bench.check import check
from tests.bench.keyed import Keyed
from tests.bench.systems import Ours, Queued
from tests.tools import redis_server

pytestmark = pytest.mark.extended


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    return make(tmp_path_factory.mktemp("artefacts"))


@pytest.fixture(params=[Ours, Keyed])
def system(request: pytest.FixtureRequest, artefacts: Artefacts, tmp_path: Path) -> Iterator[Queued]:
    made: Queued = request.param(artefacts, tmp_path / "system")
    made.redis_server = redis_server()
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_system_of_ours_answers_rightly(system: Queued) -> None:
    check(system)

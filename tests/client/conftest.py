from __future__ import annotations

from pathlib import Path

import pytest

from tests.client.environments import Environment, environment, wheel
from tests.sharing import made_once


@pytest.fixture(scope="session")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the client in the working tree."""
    [built] = made_once(tmp_path_factory, "client-wheel", wheel).glob("dist/*.whl")
    return built


@pytest.fixture(scope="session")
def laptop(client_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What `pip install 'celeriac[cli]'` makes."""
    return Environment(made_once(tmp_path_factory, "laptop", lambda folder: environment(folder, client_wheel, extra="cli")))

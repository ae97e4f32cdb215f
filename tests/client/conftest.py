from __future__ import annotations

from pathlib import Path

import pytest

from tests.client.environments import Environment, environment, wheel


@pytest.fixture(scope="session")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the client in the working tree."""
    return wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def laptop(client_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What `pip install 'celeriac[cli]'` makes."""
    return environment(tmp_path_factory.mktemp("laptop") / "env", client_wheel, extra="cli")

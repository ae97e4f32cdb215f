from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
from celeriac import Client

from tests.client.blocking import KINDS, connected
from tests.client.environments import Environment, environment, wheel
from tests.code import publish
from tests.documentation.blocks import block
from tests.running import Running
from tests.sharing import made_once
from tests.system.test_how_to import STREAMING


@pytest.fixture(scope="session")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the client in the working tree."""
    [built] = made_once(tmp_path_factory, "client-wheel", wheel).glob("dist/*.whl")
    return built


@pytest.fixture(scope="session")
def laptop(client_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What `pip install 'celeriac[cli]'` makes."""
    return Environment(made_once(tmp_path_factory, "laptop", lambda folder: environment(folder, client_wheel, extra="cli")))


class Connect(Protocol):
    """Opens a client of one kind."""

    def __call__(self, url: str, **options: Any) -> AbstractContextManager[Client]: ...


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def connect(request: pytest.FixtureRequest) -> Connect:
    """For a test that runs once with Client and once with AsyncClient."""
    return partial(connected, request.param)


@pytest.fixture
def client(connect: Connect, running: Running) -> Iterator[Client]:
    with connect(running.url) as opened:
        yield opened


@pytest.fixture(scope="session")
def teller(running: Running, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that streams the words of its input."""
    folder = tmp_path_factory.mktemp("teller")
    (folder / "model.py").write_text(block(STREAMING, "yield word"))
    (folder / "model.yaml").write_text(block(STREAMING, "name: about", "yaml"))
    publish(running, "teller", folder)
    return "teller"

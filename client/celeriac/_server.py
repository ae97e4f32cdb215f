"""What the server distribution adds on a machine where it is installed."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, Final

_GROUP: Final = "celeriac.server"


def load(name: str, used_by: str) -> Any:
    """Return an object of the server by the name of its entry point.

    Raises:
        ImportError: The server is not installed. The message says what to install.
    """
    for point in entry_points(group=_GROUP, name=name):
        return point.load()
    raise ImportError(f"{used_by} needs the server. Install it with: pip install celeriac-server")

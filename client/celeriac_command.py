"""The console script `celeriac`.

It is not inside `app`, because that name may belong to a package of the caller: with PYTHONPATH=. it would come first.
"""

from __future__ import annotations

import json
import runpy
import sys
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit


def main() -> None:
    """Run one command with the server's own package `app`, whatever lies in the working directory."""
    sys.path.insert(0, str(_home()))
    runpy.run_module("app", run_name="__main__")


def _home() -> Path:
    """The folder that holds the server's packages: site-packages, or the checkout of an editable installation."""
    server = distribution("celeriac-server")
    source = json.loads(server.read_text("direct_url.json") or "{}")
    if source.get("dir_info", {}).get("editable"):
        return Path(unquote(urlsplit(source["url"]).path))
    return Path(str(server.locate_file("")))

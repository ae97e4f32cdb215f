"""The console script `celeriac`.

The package `celeriac-server` brings a larger command, which contains this one: it is the entry point `server` of the group
`celeriac.commands`, a function without arguments. This file imports the standard library only, because the server handles signals
before anything slow is imported.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import Distribution, entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit

_MISSING = "The command line needs typer and rich. Install them with: pip install 'celeriac[cli]'"


def main() -> None:
    """Run one command: the server's if it is installed, otherwise the client's."""
    for server in entry_points(group="celeriac.commands"):
        if server.dist is not None:
            # `app` may also be a package of the caller: with PYTHONPATH=. that one would come first.
            sys.path.insert(0, str(_home(server.dist)))
        server.load()()
        return
    try:
        import rich
        import typer
    except ImportError:
        sys.stderr.write(f"error: {_MISSING}\n")
        sys.exit(7)
    del rich, typer
    from celeriac_cli.main import run

    run()


def _home(server: Distribution) -> Path:
    """The folder that holds the server's packages: site-packages, or the checkout of an editable installation."""
    source = json.loads(server.read_text("direct_url.json") or "{}")
    if source.get("dir_info", {}).get("editable"):
        return Path(unquote(urlsplit(source["url"]).path))
    return Path(str(server.locate_file("")))


if __name__ == "__main__":
    main()

"""`python -m app`: the command `celeriac` with a server."""

from __future__ import annotations

import sys

from app import startup


def main() -> None:
    """Run one command. Signals are handled before anything slow is imported."""
    startup.exit_on_signals(sys.argv[1] if len(sys.argv) > 1 else "")
    from app.cli.main import run

    run()


if __name__ == "__main__":
    main()

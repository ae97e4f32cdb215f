"""What a process does with SIGTERM and SIGINT until its server has handlers of its own.

The kernel drops a signal for PID 1 unless a handler is installed, so a container that is stopped while it starts would run on
until it is killed. This module must be imported before anything slow: it uses the standard library only.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from types import FrameType
from typing import Final

_SERVERS: Final = ("api", "worker", "beat", "flower", "up")
_GRACE_S: Final = 5.0
"""How long the clean-up of a process that was stopped during its start may take."""


def exit_on_signals(command: str) -> None:
    """Install handlers that end this process cleanly, and unblock signals that the image's entry point has blocked.

    A server exits with code 0 on SIGTERM and SIGINT. Any other command exits with code 143 on SIGTERM, and SIGINT remains a KeyboardInterrupt.
    """
    process, serves = os.getpid(), command in _SERVERS

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            # A child that was forked during the start: its parent expects the default action.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        code = 0 if serves else 128 + number
        _thread.start_new_thread(_exit_later, (code,))
        sys.exit(code)

    for number in (signal.SIGTERM, signal.SIGINT) if serves else (signal.SIGTERM,):
        signal.signal(number, end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})


def _exit_later(code: int) -> None:
    """End the process even if code in the main thread swallows SystemExit, or takes too long to clean up."""
    time.sleep(_GRACE_S)
    os._exit(code)

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
from collections.abc import Callable
from types import FrameType
from typing import Final

_SERVERS: Final = ("api", "worker", "beat", "flower", "up")
_GRACE_S: Final = 5.0
"""How long the clean-up of a process that was stopped during its start may take."""
_AGAIN_S: Final = 0.1


def exit_on_signals(command: str) -> None:
    """Install handlers that end this process cleanly, and unblock signals that the image's entry point has blocked.

    A server exits with code 0 on SIGTERM and SIGINT. Any other command exits with code 143 on SIGTERM, and SIGINT remains a
    KeyboardInterrupt. Does nothing if a handler for SIGTERM is installed already.
    """
    if signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN):
        return
    serves, ending = command in _SERVERS, False
    numbers = (signal.SIGTERM, signal.SIGINT) if serves else (signal.SIGTERM,)

    def code(number: int) -> int:
        return 0 if serves else 128 + number

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        # Once: a second signal must not interrupt the clean-up.
        if not ending:
            ending = True
            sys.exit(code(number))

    def reset_in_child() -> None:
        """Restore what the parent of a forked child expects. The child must not write its signals to the pipe."""
        signal.set_wakeup_fd(-1)
        for number in numbers:
            if signal.getsignal(number) is end:
                signal.signal(number, signal.SIG_DFL)

    for number in numbers:
        signal.signal(number, end)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=reset_in_child)
    _thread.start_new_thread(_insist, (reader, end, _thread.get_ident(), code))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})


def _insist(reader: int, handler: object, main_thread: int, code: Callable[[int], int]) -> None:
    """End the process even if its main thread does not run `handler`, swallows SystemExit, or takes too long to clean up.

    Python runs a handler only when the main thread executes Python code. A signal that arrives just before the main thread
    blocks in a system call would wait for the end of the call. A second one interrupts the call.
    """
    while True:
        number = os.read(reader, 1)[0]
        if signal.getsignal(number) is not handler:
            # By now the server has a handler of its own.
            continue
        time.sleep(_AGAIN_S)
        signal.pthread_kill(main_thread, number)
        time.sleep(_GRACE_S)
        os._exit(code(number))

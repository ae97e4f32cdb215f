"""Does what its input says: what people's code does on a bad day, and on a good one."""

import logging
import os
import threading
import time
from pathlib import Path

from celeriac import progress

from . import settings

log = logging.getLogger("troublesome")
loaded_in = os.getpid()


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")


LAST_WORDS = {
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "mute": Mute(),
    "surrogate": ValueError("half \ud83d a sign"),
    "stop": StopIteration(),
}


def load(folder):
    # What starts threads must not be loaded before the fork: they would not be in the child.
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def predict(inputs):
    what = inputs["what"]
    if what == "image":
        return {"text": f"{len(inputs['data'])} bytes", "data": inputs["data"][::-1]}
    if what == "where":
        return {"text": "here" if loaded_in == os.getpid() and threading.active_count() > 1 else "elsewhere", "data": b""}
    if what == "raise":
        stumble()
    if what in LAST_WORDS:
        raise LAST_WORDS[what]
    if what == "print a surrogate":
        print("half \ud83d a sign")
    if what == "print":
        print("printed")
        log.warning("logged")
        print("x" * 100_000)
    if what == "hoard":
        bytearray(settings.TOO_MUCH)
    while what == "sleep":
        time.sleep(0.01)
    if what.startswith("wait for "):
        progress(0.5, "half way")
        while not Path(what.removeprefix("wait for ")).exists():
            time.sleep(0.01)
    return {"text": "done", "data": b""}


def stumble():
    raise ValueError("it stumbled")

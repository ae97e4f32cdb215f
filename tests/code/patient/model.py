"""Adds a number. In a worker it first does what the file `mood` beside it says; where it is published it behaves."""

import os
import time
from pathlib import Path


def _wait(mood):
    while not Path(mood.removeprefix("wait for ")).exists():
        time.sleep(0.05)


def load(folder):
    global mood, number
    text = (folder / "mood").read_text()
    mood, number = text if "CELERIAC_WORKER_PORT" in os.environ else "", int((folder / "number").read_text())
    if mood.startswith("wait for "):
        _wait(mood)
    if mood == "crash":
        os.abort()
    if mood == "exit":
        os._exit(3)
    if mood == "slow after a fork":
        os.register_at_fork(after_in_child=lambda: time.sleep(2))
    if mood == "raise":
        raise OSError("there is no licence")


def predict(inputs):
    if mood == "hang":
        time.sleep(3600)
    if mood == "stumble" and not inputs["x"]:
        raise ValueError("it stumbled")
    return float(inputs["x"]) + number

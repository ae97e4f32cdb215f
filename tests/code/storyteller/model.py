"""Yields a story word by word, and stumbles as it is asked to."""

import os
import time
from contextlib import suppress
from pathlib import Path

HERE = Path(os.environ.get("CELERIAC_STATE", "."))


def predict(inputs):
    about = inputs["about"]
    yield "Once "
    yield "upon "
    if about == "patience":
        wait_for("story-go")
    if about == "a first failure" and not (HERE / "story-failed").exists():
        (HERE / "story-failed").touch()
        raise ConnectionError("the muse is away")
    if about == "eternity":
        yield from for_ever()
    if about == "a flood":
        yield "water " * 1000
    if about == "length":
        for _ in range(200):
            yield "and "
    yield b"a time."


def for_ever():
    try:
        while True:
            yield "and "
            with suppress(Exception):  # careless, as code may be
                time.sleep(0.01)
    finally:
        (HERE / "story-stopped").touch()


def wait_for(file):
    while not (HERE / file).exists():
        time.sleep(0.01)

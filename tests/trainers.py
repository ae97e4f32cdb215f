"""Trainers that only tests have. Workers import them by CELERIAC_IMPORTS. What waits or dies does so beside a file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celeriac import trainer
from sklearn.tree import DecisionTreeClassifier


@trainer("mortal")
def mortal(rows: Any, target: Any, dies_beside: str = "") -> Any:
    """Kills its process the first time."""
    if not Path(dies_beside).exists():
        Path(dies_beside).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return DecisionTreeClassifier(max_depth=3, random_state=0).fit(rows, target)


@trainer("patient")
def patient(rows: Any, target: Any, until: str = "") -> Any:
    """Waits until the file is there."""
    Path(f"{until}.began").touch()
    while not Path(until).exists():
        time.sleep(0.02)
    return DecisionTreeClassifier(max_depth=3, random_state=0).fit(rows, target)


@trainer("fallible")
def fallible(rows: Any, target: Any) -> Any:
    raise RuntimeError("no sun today")

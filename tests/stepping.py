"""Functions that pipelines of tests run. Workers import it by CELERIAC_IMPORTS."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from celeriac import progress, step


@step
def numbers(count: int) -> list[int]:
    return list(range(count))


@step
def square(number: int, at: int) -> dict[str, int]:
    return {"number": number, "square": number * number, "at": at}


@step
def total(squares: list[dict[str, int]]) -> int:
    return sum(one["square"] for one in squares)


@step("measure")
def size_of(image: bytes) -> dict[str, Any]:
    print(f"measuring {len(image)} bytes")
    return {"bytes": len(image), "back": image[::-1]}


@step
def leave() -> None:
    sys.exit(3)


@step
def choose(small: Any, large: Any) -> Any:
    return {"small": small, "large": large}


@step
def note(text: str) -> str:
    return text


@step
def until(file: str) -> str:
    """Waits for a file."""
    progress(0.25, f"waiting for {Path(file).name}")
    while not Path(file).exists():
        time.sleep(0.01)
    return Path(file).read_text()


@step
def count(file: str) -> int:
    """How often it was run: a line in the file each time."""
    with Path(file).open("a") as lines:
        lines.write("run\n")
    return len(Path(file).read_text().splitlines())

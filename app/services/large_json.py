"""Writes large values as JSON in a process whose address space is limited."""

from __future__ import annotations

import resource
from typing import Any

import orjson


def dumps(value: Any, option: int | None = None) -> bytes:
    """Return a value as JSON, without the limit that a process of `offload` has on its address space.

    orjson reserves some 260 bytes for each element of a list before it writes the list, uses few of them, keeps them as long as the
    JSON, and crashes if it does not get them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == hard:
        return orjson.dumps(value, option=option)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    try:
        return bytes(memoryview(orjson.dumps(value, option=option)))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

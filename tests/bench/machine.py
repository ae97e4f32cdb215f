"""What the figures were taken on. No host name and no path: the file is published."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

_LIBRARIES: Final = ("celery", "kombu", "redis", "fastapi", "uvicorn", "scikit-learn", "numpy", "orjson")


def describe(redis_version: str) -> dict[str, Any]:
    """Cores, processor, memory in GiB, and the versions that decide the figures."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "versions": {
            "python": platform.python_version(), "redis-server": redis_version, "wrk": _wrk(), **{name: version(name) for name in _LIBRARIES}
        },
    }  # fmt: skip


def load_average() -> float:
    """Of the last minute: above the number of cores before anything runs, others use the machine too."""
    return os.getloadavg()[0]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _wrk() -> str:
    if shutil.which("wrk") is None:
        return ""
    reported = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split()
    return reported[1] if len(reported) > 1 else ""

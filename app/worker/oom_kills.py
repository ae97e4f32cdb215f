"""Find out whether the kernel killed a process for memory, which it does without a message.

If the kernel kills one process of a container, its parent sees SIGKILL and a counter of the control group that has risen. If the
whole container is killed, only the cluster knows, and the worker that takes the job next asks it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import redis

from app.core.deliveries import Delivery
from app.store import deliveries

log = logging.getLogger(__name__)
_RECENT_S: Final = 5.0
_ROOT: Final = Path("/sys/fs/cgroup")


class MemoryKills:
    """Counts how often the kernel has killed a process of this control group for memory."""

    def __init__(self, counters: Iterable[Path] | None = None) -> None:
        """Read the counters for the first time.

        Args:
            counters: Files to read; those of this process' control group by default.
        """
        self._counters = list(counter_files() if counters is None else counters)
        self._count, self._at = self._read(), float("-inf")

    def happened_lately(self) -> bool:
        """Return whether the counter has risen within the last seconds. Call it when a process has died by SIGKILL."""
        count = self._read()
        if count > self._count:
            self._count, self._at = count, time.monotonic()
        return time.monotonic() - self._at < _RECENT_S

    def _read(self) -> int:
        total = 0
        for path in self._counters:
            try:
                total += sum(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("oom_kill "))
            except (OSError, ValueError, IndexError):
                continue
        return total


def counter_files(own: str | None = None, root: Path = _ROOT) -> list[Path]:
    """Return the file that counts these kills, of control groups version 2 or 1.

    See https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files. A container sees its own group at the root.

    Args:
        own: The text of /proc/self/cgroup.
        root: Where control groups are mounted.
    """
    try:
        text = Path("/proc/self/cgroup").read_text() if own is None else own
    except OSError:
        return []
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            candidates = [root / "memory" / path.strip("/") / "memory.oom_control", root / "memory" / "memory.oom_control"]
        elif not controllers:
            candidates = [root / path.strip("/") / "memory.events", root / "memory.events"]
        else:
            continue
        if files := [candidate for candidate in candidates if candidate.is_file()]:
            return files[:1]
    return []


def explain(client: redis.Redis, delivery: Delivery, job: str) -> str:
    """Return the detail of the error of a job whose worker died each time."""
    detail = "The worker died each time that it ran this job, and the job is not tried again"
    if not deliveries.was_oom_killed(client, delivery.id) and not _killed_in_cluster(*deliveries.last_run(client, delivery, job)):
        return detail
    return (
        f"{detail}. Last time it was killed because it needed more memory than its limit ({deliveries.OOM_KILLED}): "
        "send fewer rows at once, or raise the memory limit of the pool's workers"
    )


def _killed_in_cluster(since: float, host: str) -> bool:
    """Ask the cluster about the pod that ran the last attempt. Return False outside a cluster, and if this pod may not read pods."""
    if not host or "KUBERNETES_SERVICE_HOST" not in os.environ:
        return False
    from app.cluster import memory
    from app.cluster.access import ClusterUnavailable

    try:
        return memory.killed(host, since)
    except ClusterUnavailable as error:
        log.warning("Could not ask the cluster why a worker died: pod=%s error=%s", host, error)
        return False

"""Celery's prefork pool: hand a task to a free process at once, and replace processes without losing a delivery.

Why:
    Celery asks the event loop which pipes can be written, and writes in the next turn. The pipe of a free process is always
    empty, so the extra turn only costs time: a prediction's task waited for one more `epoll`. And nothing in Celery or billiard
    replaces a chosen process safely. `Pool.shrink` takes a process that was just handed a task for an idle one, because
    `_worker_active` counts a task only after the process has acknowledged it; that task then ran twice (measured during reloads).

Upstream:
    No issue asks for either. https://github.com/celery/celery/issues/7718 reports the latency of Redis, one process and no
    prefetching. `worker_max_tasks_per_child` and `worker_max_memory_per_child` do not help: they end a process before its
    replacement is warm, so a pool of one process stops serving while models load.

Checked with:
    celery 5.7.0, billiard 4.3.2

Remove:
    Pass `pool="prefork"` in `app/worker/main.py`. Reload and recycling then need another way to replace a process, for example a
    restart of the worker.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from celery.concurrency import asynpool, prefork


class AsynPool(asynpool.AsynPool):
    """Celery's pool of processes with an event loop, extended as the module says."""

    _quick_put: Any
    on_poll_start: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Start the pool. The arguments are Celery's."""
        # Before the processes are made, whose answers look at it.
        self._held_back: set[Any] = set()
        super().__init__(*arguments, **options)

    @property
    def processes(self) -> list[Any]:
        """The processes of the pool, including those that still start."""
        return list(self._pool)

    @property
    def complete(self) -> bool:
        """Whether the pool has all of its processes, and each of them takes tasks."""
        return len(self._pool) >= self._processes and all(process.inqW_fd in self._all_inqueues for process in self._pool)

    def add_process(self) -> None:
        """Start one process more, now."""
        self.grow(1)
        self.maintain_pool()

    def hold_back(self, process: Any) -> None:
        """Give a process no further task. Its running task ends normally; then `retire_if_idle` can end the process."""
        self._held_back = {held for held in self._held_back if held in self._pool} | {process}

    def retire_if_idle(self, process: Any) -> bool:
        """End an idle process and make the pool smaller by one.

        Returns:
            False if the process holds a task. Then nothing changes.
        """
        if not self._reserve_if_idle(process):
            return False
        self._processes -= 1
        process.terminate_controlled()
        if self._putlock:
            self._putlock.shrink()
        return True

    def replace_if_idle(self, process: Any) -> bool:
        """Like `retire_if_idle`, but the pool starts another process in its place."""
        if not self.retire_if_idle(process):
            return False
        self.grow(1)
        return True

    def on_job_ready(self, job: Any, i: Any, obj: Any, inqW_fd: int) -> None:  # noqa: N803 the name is Celery's
        """Make a process available again, unless it is held back."""
        if self._fileno_to_inq.get(inqW_fd) not in self._held_back:
            super().on_job_ready(job, i, obj, inqW_fd)

    def _reserve_if_idle(self, process: Any) -> bool:
        """Stop giving tasks to an idle process. Return False if it holds a task or is still starting.

        Until a starting process resets its signal handlers, it runs the ones of the main process, which would swallow the SIGTERM
        that is to end it. It would live on, reserved, and never get a task.
        """
        if process.inqW_fd not in self._all_inqueues:
            return False
        if process.inqW_fd in self._active_writes or self._worker_active(process) or self._was_handed_a_task(process):
            return False
        if process.inqW_fd in self._busy_workers and process not in self._held_back:
            return False
        self._busy_workers.add(process.inqW_fd)
        return True

    def _was_handed_a_task(self, process: Any) -> bool:
        """Return whether a task was written to a process, or is to be, that the process has not acknowledged yet."""
        return any(process in (job._write_to, job._scheduled_for) for job in self._cache.values())

    def _create_write_handlers(self, hub: Any, **options: Any) -> None:
        super()._create_write_handlers(hub, **options)
        put, write, look = self._quick_put, hub.consolidate_callback, self.on_poll_start
        waited = True

        def put_and_write(task: Any) -> None:
            put(task)
            if free := list(self._all_inqueues - self._busy_workers - self._active_writes):
                write(free)

        def look_while_tasks_wait() -> None:
            # One look more than there are tasks: it ends the watch of the pipes.
            nonlocal waited
            if waited or self.outbound_buffer:
                waited = bool(self.outbound_buffer)
                look()

        self._quick_put, self.on_poll_start = put_and_write, look_while_tasks_wait


class TaskPool(prefork.TaskPool):
    """Celery's prefork pool over `AsynPool`, for the setting `worker_pool`."""

    Pool = AsynPool


def process_pool(worker: Any) -> AsynPool:
    """Return the pool of processes of a running Celery worker."""
    pool: AsynPool = worker.pool._pool
    return pool


def kill_processes(worker: Any) -> None:
    """Kill all pool processes of a worker, which may not have started its pool yet."""
    pool = worker.pool and worker.pool._pool
    for process in pool._pool if pool else ():
        with suppress(OSError):
            os.kill(process.pid, signal.SIGKILL)

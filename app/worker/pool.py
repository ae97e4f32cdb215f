"""Celery's prefork pool, which hands a task to a free process at once instead of in the next turn of its loop."""

from __future__ import annotations

from typing import Any

from celery.concurrency import asynpool, prefork


class AsynPool(asynpool.AsynPool):
    """Celery asks the loop first which pipes can be written; the pipe of a free process is empty."""

    _quick_put: Any
    on_poll_start: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Before the processes are made, whose answers look at it.
        self._held_back: set[Any] = set()
        super().__init__(*arguments, **options)

    def hold_back(self, process: Any) -> None:
        """Give a process no further task. What it runs ends as it would, and then `reserve_if_idle` gets it."""
        self._held_back = {held for held in self._held_back if held in self._pool} | {process}

    def on_job_ready(self, job: Any, i: Any, obj: Any, inqW_fd: int) -> None:  # noqa: N803 Celery names it so
        if self._fileno_to_inq.get(inqW_fd) not in self._held_back:
            super().on_job_ready(job, i, obj, inqW_fd)

    def reserve_if_idle(self, process: Any) -> bool:
        """Stop giving tasks to an idle process, so that it can be replaced. Return False if it holds a task.

        Celery's `_worker_active` counts a task only after the process has acknowledged it. A process that was just handed a
        task would look idle, and replacing it would run that task again.

        A process that is still starting is not idle: until it resets its signal handlers it runs the ones of this process, which
        would swallow the SIGTERM that is to end it. It would live on, reserved, and never get a task.
        """
        if process.inqW_fd not in self._all_inqueues:
            return False
        if process.inqW_fd in self._active_writes or self._worker_active(process) or self._handed_to(process):
            return False
        if process.inqW_fd in self._busy_workers and process not in self._held_back:
            return False
        self._busy_workers.add(process.inqW_fd)
        return True

    def _handed_to(self, process: Any) -> bool:
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
    """For `worker_pool`."""

    Pool = AsynPool

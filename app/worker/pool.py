"""Celery's prefork pool, which hands a task to a free process at once instead of in the next turn of its loop."""

from __future__ import annotations

from typing import Any

from celery.concurrency import asynpool, prefork


class AsynPool(asynpool.AsynPool):
    """Celery asks the loop first which pipes can be written; the pipe of a free process is empty."""

    _quick_put: Any
    on_poll_start: Any

    def reserve_if_idle(self, process: Any) -> bool:
        """Stop giving tasks to an idle process, so that it can be replaced. Return False if it holds a task.

        Celery's `_worker_active` counts a task only after the process has acknowledged it. A process that was just handed a
        task would look idle, and replacing it would run that task again.
        """
        if process.inqW_fd in self._busy_workers | self._active_writes or self._worker_active(process):
            return False
        self._busy_workers.add(process.inqW_fd)
        return True

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

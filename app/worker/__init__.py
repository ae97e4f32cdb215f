"""The Celery worker: start and preload, tasks, leases, probes, metrics. May import everything but api and cli."""

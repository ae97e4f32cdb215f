"""Celeriac: asynchronous ML inference on FastAPI, Redis, Celery and Kubernetes.

A prediction passes the folders in this order: `api` -> `services` -> `broker` -> `worker` -> `runtime` -> `store`.
All of them use `core`, the domain types and rules, and `registry`, the model repository.
"""

__version__ = "0.2.0"

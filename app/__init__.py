"""Celeriac: predictions answered reliably and at scale, on FastAPI, Redis, Celery and Kubernetes.

The folders are the stations of one prediction, in order: `api` -> `services` -> `broker` -> `worker` -> `runtime` -> `store`.
Below them lies `core`, the nouns and the rules; beside them `registry`, the model repository.
"""

__version__ = "0.2.0"

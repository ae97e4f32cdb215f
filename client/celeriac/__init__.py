"""The client of Celeriac, and what model code imports.

from celeriac import Client

with Client("http://127.0.0.1:8000") as client:
    client.predict("diabetes", rows)               # waits for the result
    job = client.submit("diabetes", rows)          # returns as soon as the job is durable
    job.result(timeout=60)
"""

from celeriac._async.batches import AsyncBatch
from celeriac._async.client import AsyncClient
from celeriac._async.jobs import AsyncJob
from celeriac._authoring import progress, step, trainer
from celeriac._errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    CeleriacError,
    ConflictError,
    ConnectionFailed,
    JobCancelled,
    JobExpired,
    JobFailed,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    Timeout,
)
from celeriac._events import Event
from celeriac._models import Model, Published
from celeriac._publishing import publish
from celeriac._sync.batches import Batch
from celeriac._sync.client import Client
from celeriac._sync.jobs import Job

__all__ = [
    "APIError",
    "AsyncBatch",
    "AsyncClient",
    "AsyncJob",
    "AuthenticationError",
    "BadRequestError",
    "Batch",
    "CeleriacError",
    "Client",
    "ConflictError",
    "ConnectionFailed",
    "Event",
    "Job",
    "JobCancelled",
    "JobExpired",
    "JobFailed",
    "Model",
    "NotFoundError",
    "PermissionDeniedError",
    "Published",
    "RateLimitError",
    "ServerError",
    "Timeout",
    "progress",
    "publish",
    "step",
    "trainer",
]

__version__ = "0.2.0"

"""Every metric, spelled once. Labels are few: a model, a version, an outcome, a route; never an id."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

HTTP_REQUESTS: Final = Counter("celeriac_http_requests", "Requests answered, by route and status.", ["method", "route", "status"])
HTTP_SECONDS: Final = Histogram(
    "celeriac_http_request_seconds", "Time to answer a request, by route.", ["method", "route"], buckets=_SECONDS
)
HTTP_CONNECTIONS: Final = Gauge("celeriac_http_connections", "Open connections.", multiprocess_mode="livesum")
BODY_BYTES: Final = Gauge(
    "celeriac_body_bytes", "Bytes of request bodies in memory, of each body those above the first 64 KiB.", multiprocess_mode="livesum"
)
OFFLOADED: Final = Counter("celeriac_offloaded", "Large bodies and results that a process of their own converted, by outcome.", ["outcome"])
OFFLOAD_WAITING: Final = Gauge(
    "celeriac_offload_waiting", "Large bodies and results that are converted, or wait for it.", multiprocess_mode="livesum"
)
JOBS_SUBMITTED: Final = Counter("celeriac_jobs_submitted", "Jobs that the queue took, by model and version.", ["model", "version", "kind"])
JOBS_REFUSED: Final = Counter("celeriac_jobs_refused", "Jobs that the queue did not take, by the error's code.", ["code"])
BATCH_ROWS: Final = Histogram("celeriac_delivery_rows", "Rows joined into one delivery.", ["model", "version"], buckets=_ROWS)
BATCH_WAIT: Final = Histogram(
    "celeriac_delivery_wait_seconds", "Time that the first job of a delivery gathered others.", ["model", "version"], buckets=_SECONDS
)
JOBS_ENDED: Final = Counter("celeriac_jobs_ended", "Jobs that a worker ended, by outcome.", ["model", "version", "outcome"])
JOBS_LATE: Final = Counter("celeriac_jobs_late", "Outcomes dropped because the job had one already.", ["model", "version"])
PIPELINES_ENDED: Final = Counter("celeriac_pipelines_ended", "Runs of pipelines that ended, by outcome.", ["pipeline", "outcome"])
QUEUE_SECONDS: Final = Histogram(
    "celeriac_queue_seconds", "Time from the queue to a worker, by model.", ["model", "version"], buckets=_SECONDS
)
PREDICT_SECONDS: Final = Histogram("celeriac_predict_seconds", "Time of one call of a model.", ["model", "version"], buckets=_SECONDS)
OUT_OF_MEMORY: Final = Counter(
    "celeriac_out_of_memory",
    "Calls of a model for which memory, or that of a device, was short: of several rows, halves were tried.",
    ["model", "version"],
)
CHUNKS: Final = Counter("celeriac_chunks", "Pieces that models yielded while their job ran.")
CHUNKS_DROPPED: Final = Counter(
    "celeriac_chunks_dropped", "Of these, pieces that were given up for newer ones, or that Redis did not take."
)
MODELS: Final = Gauge(
    "celeriac_models", "Model versions of this worker, by state: ready, loading, unavailable.", ["state"], multiprocess_mode="mostrecent"
)
SMOKE_TESTS: Final = Counter(
    "celeriac_smoke_tests", "Versions that a worker loaded and asked their golden sample, by outcome.", ["outcome"]
)
PROMOTIONS: Final = Counter("celeriac_promotions", "Aliases that moved to another version or could not, by outcome.", ["outcome"])
QUEUE_LENGTH: Final = Gauge("celeriac_queue_length", "Deliveries that wait, by queue.", ["queue"], multiprocess_mode="mostrecent")
IN_FLIGHT: Final = Gauge("celeriac_in_flight", "Deliveries that workers hold, by pool.", ["pool"], multiprocess_mode="mostrecent")
WEBHOOK_ATTEMPTS: Final = Counter("celeriac_webhook_attempts", "Attempts to deliver a webhook, by outcome.", ["outcome"])
WEBHOOK_SECONDS: Final = Histogram("celeriac_webhook_seconds", "Time that the receiver of a webhook took to answer.", buckets=_SECONDS)
WEBHOOK_WAITING: Final = Gauge(
    "celeriac_webhook_waiting", "Deliveries of webhooks that are to be sent, or sent again.", multiprocess_mode="mostrecent"
)
WEBHOOK_DROPPED: Final = Counter("celeriac_webhook_dropped", "Deliveries of webhooks given up unsent, by reason.", ["reason"])
WEBHOOKS_DISABLED: Final = Counter("celeriac_webhooks_disabled", "Registered webhooks that were disabled because they fail.")
DEAD_LETTERS: Final = Gauge("celeriac_dead_letters", "Dead letters that are kept.", multiprocess_mode="mostrecent")
BLOB_BYTES: Final = Gauge(
    "celeriac_blob_bytes", "Bytes of large bodies and results in the folder of blobs.", multiprocess_mode="mostrecent"
)
BATCHES_ENDED: Final = Counter("celeriac_batches_ended", "Batches that ended, by outcome.", ["model", "outcome"])
BATCH_ROWS_ENDED: Final = Counter("celeriac_batch_rows", "Rows of batches that were done, completed or failed.", ["model", "outcome"])
FILE_BYTES: Final = Gauge(
    "celeriac_file_bytes", "Bytes of uploaded files and of batches in the folder of files.", multiprocess_mode="mostrecent"
)
REDIS_MEMORY: Final = Gauge(
    "celeriac_redis_memory_ratio", "Memory of Redis in use, of its limit; 0 without a limit.", multiprocess_mode="mostrecent"
)
VERSIONS_REMOVED: Final = Counter(
    "celeriac_versions_removed", "Versions of models that were removed, by hand or after a training.", ["model"]
)
TRAININGS: Final = Counter(
    "celeriac_trainings", "Trainings that a worker ended: published, promoted too, or the error's code.", ["outcome"]
)
SCHEDULED: Final = Counter("celeriac_scheduled_runs", "Runs of schedules: begun, missed, or failed to begin.", ["outcome"])
TRAINING_SECONDS: Final = Histogram(
    "celeriac_training_seconds", "Time of one training that succeeded.", buckets=(1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600)
)
LOOP_ERRORS: Final = Counter(
    "celeriac_loop_errors",
    "Failures in background loops, by loop and kind: `redis` is unavailable, one `item`, or a whole `turn`.",
    ["loop", "kind"],
)
LOOP_TURNED: Final = Gauge(
    "celeriac_loop_last_turn_timestamp_seconds",
    "When a background loop last finished a turn, in seconds since 1970.",
    ["loop"],
    multiprocess_mode="mostrecent",
)
QUARANTINED: Final = Counter("celeriac_quarantined", "Members of indices and keys of a wrong type that were set aside, by kind.", ["kind"])
QUARANTINE: Final = Gauge("celeriac_quarantine", "Notes of failures that `celeriac doctor` lists.", multiprocess_mode="mostrecent")
UNREADABLE: Final = Counter("celeriac_unreadable_records", "Records that could not be decoded and were left out, by kind.", ["kind"])
LOOP_PAUSE: Final = Histogram(
    "celeriac_event_loop_pause_seconds",
    "How late a timer of the event loop fired: everything in its process waited as long.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
LOOP_LONGEST_PAUSE: Final = Gauge(
    "celeriac_event_loop_longest_pause_seconds",
    "The longest pause of the event loop in the last minute.",
    multiprocess_mode="livemax",
)
RECYCLED: Final = Counter(
    "celeriac_processes_recycled",
    "Processes of workers that were replaced because they were worn, by reason: memory, count or broken.",
    ["reason"],
)

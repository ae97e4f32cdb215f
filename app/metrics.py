"""All metrics. Labels have few values: a model, a version, an outcome or a route, never an id."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

HTTP_REQUESTS: Final = Counter("celeriac_http_requests", "HTTP requests, by route and status.", ["method", "route", "status"])
HTTP_SECONDS: Final = Histogram(
    "celeriac_http_request_seconds", "Duration of HTTP requests, by route.", ["method", "route"], buckets=_SECONDS
)
HTTP_CONNECTIONS: Final = Gauge("celeriac_http_connections", "Open connections.", multiprocess_mode="livesum")
BODY_BYTES: Final = Gauge(
    "celeriac_body_bytes", "Bytes of request bodies in memory, not counting the first 64 KiB of each.", multiprocess_mode="livesum"
)
OFFLOADED: Final = Counter(
    "celeriac_offloaded", "Large bodies, tables and results converted in a separate process, by outcome.", ["outcome"]
)
OFFLOAD_WAITING: Final = Gauge(
    "celeriac_offload_waiting", "Large bodies, tables and results in conversion or queued for it.", multiprocess_mode="livesum"
)
JOBS_SUBMITTED: Final = Counter(
    "celeriac_jobs_submitted", "Jobs accepted into the queue, by model and version.", ["model", "version", "kind"]
)
JOBS_REFUSED: Final = Counter("celeriac_jobs_refused", "Jobs rejected at submission, by error code.", ["code"])
USAGE_DRIFT: Final = Counter(
    "celeriac_owner_usage_drift",
    "Open jobs and batches that were missing from what their owner has under way, or were in it wrongly, and owners whose bytes differed, by policy; "
    "0 unless a key was damaged.",
    ["policy"],
)
COST: Final = Counter(
    "celeriac_cost",
    "Cost of the calls of models, by the price of their pool. Workers count jobs, API processes synchronous predictions.",
    ["pool", "model"],
)
RUN_SECONDS_LOST: Final = Counter(
    "celeriac_run_seconds_lost",
    "Run seconds of synchronous predictions that are missing from the usage of their owners, because Redis did not answer.",
)
RATE_LIMITED: Final = Counter(
    "celeriac_rate_limited",
    "Requests rejected by a limit of their owner or API key, by policy: `owner_requests_per_minute`, `owner_jobs_open` …",
    ["policy"],
)
INFERENCES: Final = Counter(
    "celeriac_inferences",
    "Synchronous predictions that got an answer, by lane: `direct` if the API process predicted itself, `queue` if a worker did.",
    ["model", "version", "lane"],
)
DIRECT_VERSIONS: Final = Gauge(
    "celeriac_direct_versions", "Model versions that API processes hold to predict with themselves.", multiprocess_mode="livemax"
)
DIRECT_REFUSED: Final = Counter(
    "celeriac_direct_refused",
    "Requests for a version on the direct lane that took the queue, by reason: its `pool` is paused, the `size` of the request, a full `line`, "
    "a `lag` of the event loop, or lack of `memory`.",
    ["reason"],
)
BATCH_ROWS: Final = Histogram(
    "celeriac_delivery_rows", "Rows joined into one delivery or one direct call.", ["model", "version"], buckets=_ROWS
)
BATCH_WAIT: Final = Histogram(
    "celeriac_delivery_wait_seconds",
    "Time that the first job of a delivery waited for others to join.",
    ["model", "version"],
    buckets=_SECONDS,
)
JOBS_ENDED: Final = Counter(
    "celeriac_jobs_ended", "Predictions that ended, in a worker or on the direct lane, by outcome.", ["model", "version", "outcome"]
)
JOBS_LATE: Final = Counter("celeriac_jobs_late", "Outcomes dropped because the job already had one.", ["model", "version"])
PIPELINES_ENDED: Final = Counter("celeriac_pipelines_ended", "Ended pipeline runs, by outcome.", ["pipeline", "outcome"])
QUEUE_SECONDS: Final = Histogram(
    "celeriac_queue_seconds", "Time that jobs waited in the queue, by model.", ["model", "version"], buckets=_SECONDS
)
PREDICT_SECONDS: Final = Histogram("celeriac_predict_seconds", "Duration of one call of a model.", ["model", "version"], buckets=_SECONDS)
OUT_OF_MEMORY: Final = Counter(
    "celeriac_out_of_memory",
    "Calls of a model that ran out of memory, of the host or a device. Calls with several rows are split in halves.",
    ["model", "version"],
)
TOKENS: Final = Counter("celeriac_chunks", "Tokens that streaming models yielded.")
TOKENS_DROPPED: Final = Counter("celeriac_chunks_dropped", "Tokens dropped in favor of newer ones, or because Redis did not accept them.")
MODELS: Final = Gauge(
    "celeriac_models", "Model versions of this worker, by state: ready, loading, unavailable.", ["state"], multiprocess_mode="mostrecent"
)
MODEL_PULLED_BYTES: Final = Counter("celeriac_model_pulled_bytes", "Bytes of model versions downloaded from the bucket.")
MODEL_PULL_SECONDS: Final = Histogram(
    "celeriac_model_pull_seconds", "Duration of the download of a version from the bucket.", buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)
)
MODEL_EVICTIONS: Final = Counter("celeriac_model_evictions", "Versions dropped from the cache to make room for others.")
MODEL_CACHE_BYTES: Final = Gauge(
    "celeriac_model_cache_bytes", "Bytes of model versions in the cache of the machine.", multiprocess_mode="mostrecent"
)
SMOKE_TESTS: Final = Counter("celeriac_smoke_tests", "Smoke tests of versions, by outcome.", ["outcome"])
PROMOTIONS: Final = Counter("celeriac_promotions", "Promotions of versions, by outcome.", ["outcome"])
QUEUE_LENGTH: Final = Gauge(
    "celeriac_queue_length", "Deliveries waiting, by queue, with those in the backlog.", ["queue"], multiprocess_mode="mostrecent"
)
BACKLOG: Final = Gauge(
    "celeriac_backlog_length",
    "Deliveries that wait in the backlog for the turn of their owner, by queue.",
    ["queue"],
    multiprocess_mode="mostrecent",
)
BACKLOG_DRIFT: Final = Gauge(
    "celeriac_backlog_drift",
    "Deliveries in the backlog beyond those in the lists of its owners, by queue; 0 unless a key was damaged.",
    ["queue"],
    multiprocess_mode="mostrecent",
)
MOVED_UP: Final = Counter(
    "celeriac_deliveries_moved_up",
    "Deliveries that moved to the queue of the next higher service tier after a long wait, by the queue they left.",
    ["queue"],
)
HELD_BACK: Final = Gauge(
    "celeriac_held_back",
    "Deliveries that wait for a slot of their concurrency key, by queue. They do not count as waiting.",
    ["queue"],
    multiprocess_mode="mostrecent",
)
CONCURRENCY_KEYS: Final = Gauge("celeriac_concurrency_keys", "Concurrency keys that have jobs.", multiprocess_mode="mostrecent")
CONCURRENCY_REPAIRS: Final = Counter(
    "celeriac_concurrency_repairs", "Slots and places of concurrency keys that were repaired; 0 unless a key was damaged or evicted."
)
IN_FLIGHT: Final = Gauge("celeriac_in_flight", "Deliveries held by workers, by pool.", ["pool"], multiprocess_mode="mostrecent")
MODEL_PAUSED: Final = Gauge("celeriac_model_paused", "1 if the model is paused, otherwise 0.", ["model"], multiprocess_mode="mostrecent")
PAUSED_DELIVERIES: Final = Gauge(
    "celeriac_paused_deliveries", "Deliveries that wait until their model is resumed.", ["model"], multiprocess_mode="mostrecent"
)
POOL_PAUSED: Final = Gauge("celeriac_pool_paused", "1 if the pool is paused, otherwise 0.", ["pool"], multiprocess_mode="mostrecent")
POOL_WANTED: Final = Gauge(
    "celeriac_pool_wanted_processes",
    "Processes that the pool needs, which KEDA reads if it has an `slo`.",
    ["pool"],
    multiprocess_mode="mostrecent",
)
POOL_ARRIVAL_RATE: Final = Gauge(
    "celeriac_pool_arrival_rate",
    "Jobs that arrived per second within the last minute, of models with run times and not on the direct lane.",
    ["pool"],
    multiprocess_mode="mostrecent",
)
POOL_WAITING_WORK: Final = Gauge(
    "celeriac_pool_waiting_work_seconds",
    "Seconds that the jobs which wait are expected to run, all together.",
    ["pool"],
    multiprocess_mode="mostrecent",
)
POOL_OLDEST_WAIT: Final = Gauge(
    "celeriac_pool_oldest_wait_seconds", "Time that the oldest delivery of a pool has waited.", ["pool"], multiprocess_mode="mostrecent"
)
POOL_WAIT_P95: Final = Gauge(
    "celeriac_pool_wait_p95_seconds",
    "95th percentile of the waits of jobs that ended within the last one to two minutes; 0 if none did.",
    ["pool"],
    multiprocess_mode="mostrecent",
)
WEBHOOK_ATTEMPTS: Final = Counter("celeriac_webhook_attempts", "Attempts to deliver a webhook, by outcome.", ["outcome"])
WEBHOOK_SECONDS: Final = Histogram("celeriac_webhook_seconds", "Response time of webhook receivers.", buckets=_SECONDS)
WEBHOOK_WAITING: Final = Gauge(
    "celeriac_webhook_waiting", "Webhook deliveries waiting for their first or next attempt.", multiprocess_mode="mostrecent"
)
WEBHOOK_DROPPED: Final = Counter("celeriac_webhook_dropped", "Webhook deliveries dropped, by reason.", ["reason"])
WEBHOOKS_DISABLED: Final = Counter("celeriac_webhooks_disabled", "Registered webhooks disabled because of failures.")
DEAD_LETTERS: Final = Gauge("celeriac_dead_letters", "Dead letters stored.", multiprocess_mode="mostrecent")
BULK_ACTION_ITEMS: Final = Counter(
    "celeriac_bulk_action_items",
    "Jobs and dead letters that bulk actions reached, by action and outcome: done or skipped.",
    ["action", "outcome"],
)
OWNERS: Final = Gauge("celeriac_owners", "Owners who have jobs, batches or trainings, or had them lately.", multiprocess_mode="mostrecent")
BUCKET_FAILURES: Final = Counter(
    "celeriac_bucket_failures", "Requests to a bucket that failed after their retries, by the code of the error that they led to.", ["code"]
)
BLOB_BYTES: Final = Gauge(
    "celeriac_blob_bytes", "Bytes of large inputs and results in the folder or bucket of blobs.", multiprocess_mode="mostrecent"
)
BATCHES_ENDED: Final = Counter("celeriac_batches_ended", "Ended batches, by outcome.", ["model", "outcome"])
BATCH_ROWS_ENDED: Final = Counter("celeriac_batch_rows", "Rows of batches, by outcome: completed or failed.", ["model", "outcome"])
FILE_BYTES: Final = Gauge(
    "celeriac_file_bytes", "Bytes of uploaded files and batches in their folder or bucket.", multiprocess_mode="mostrecent"
)
SPANS: Final = Counter(
    "celeriac_spans", "Spans for the trace collector, by outcome: exported, failed, or dropped from a full queue.", ["outcome"]
)
MODEL_SPANS_DROPPED: Final = Counter(
    "celeriac_model_spans_dropped",
    "Spans of model code beyond `CELERIAC_TRACE_MAX_MODEL_SPANS` in one call of a model.",
    ["model", "version"],
)
TRACES_DROPPED: Final = Counter(
    "celeriac_traces_dropped",
    "Deliveries whose traces were dropped, because more than 10 000 waited in Redis for an API process to export them.",
)
STATS_SERIES: Final = Gauge(
    "celeriac_stats_series", "Model versions in pools whose figures are kept for `GET /v1/stats`.", multiprocess_mode="mostrecent"
)
STATS_LEFT_OUT: Final = Counter(
    "celeriac_stats_left_out",
    "Jobs missing from the figures of `GET /v1/stats`, because `CELERIAC_STATS_MAX_SERIES` model versions are in use, or Redis did not answer.",
)
DRIFT_VERSIONS: Final = Gauge(
    "celeriac_drift_versions",
    "Model versions whose rows are counted for `GET /v1/models/{name}/drift`. Above `CELERIAC_DRIFT_MAX_VERSIONS`, new ones are not counted.",
    multiprocess_mode="mostrecent",
)
DRIFTED_COLUMNS: Final = Gauge(
    "celeriac_drifted_columns",
    "Columns of a model version that have drifted in the last 24 hours. See `celeriac models drift`.",
    ["model", "version"],
    multiprocess_mode="mostrecent",
)
DRIFT_PSI: Final = Gauge(
    "celeriac_drift_psi",
    "Population stability index of the last 24 hours, of the 20 columns of a model version that differ most. NaN for those that no longer do.",
    ["model", "version", "column"],
    multiprocess_mode="mostrecent",
)
DRIFT_ROWS: Final = Counter("celeriac_drift_rows", "Rows that were counted in the bins of a reference profile.", ["model", "version"])
DRIFT_ROWS_LEFT_OUT: Final = Counter(
    "celeriac_drift_rows_left_out",
    "Rows that were not counted: the buffer of the process was full, Redis did not answer, or too many versions are counted.",
)
USAGE_SERIES: Final = Gauge(
    "celeriac_usage_series",
    "Owners and models, by pool, that have usage today for `GET /v1/usage`. Above `CELERIAC_USAGE_MAX_SERIES`, new ones count together as `(other)`.",
    multiprocess_mode="mostrecent",
)
REDIS_MEMORY: Final = Gauge(
    "celeriac_redis_memory_ratio", "Used share of Redis' maxmemory; 0 without a limit.", multiprocess_mode="mostrecent"
)
PUBLICATIONS: Final = Counter(
    "celeriac_publications", "Versions sent to the API to be published, by outcome: published, or the error code.", ["outcome"]
)
PUBLICATIONS_ACTIVE: Final = Gauge("celeriac_publications_active", "Versions that the API receives or checks.", multiprocess_mode="livesum")
PUBLISHED_BYTES: Final = Counter("celeriac_published_bytes", "Bytes of versions that callers sent to the API, as sent.")
VERSIONS_REMOVED: Final = Counter("celeriac_versions_removed", "Model versions removed, by a command or after a training.", ["model"])
TRAININGS: Final = Counter("celeriac_trainings", "Ended trainings, by outcome: published, promoted, or the error code.", ["outcome"])
SCHEDULED: Final = Counter("celeriac_scheduled_runs", "Scheduled runs, by outcome: begun, missed or failed to start.", ["outcome"])
TRAINING_SECONDS: Final = Histogram(
    "celeriac_training_seconds", "Duration of successful trainings.", buckets=(1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600)
)
LOOP_ERRORS: Final = Counter(
    "celeriac_loop_errors",
    "Failures of background loops, by loop and kind: `redis` was unavailable, one `item` failed, or a whole `turn` failed.",
    ["loop", "kind"],
)
LOOP_TURNED: Final = Gauge(
    "celeriac_loop_last_turn_timestamp_seconds",
    "Time at which a background loop last finished a turn (Unix time).",
    ["loop"],
    multiprocess_mode="mostrecent",
)
QUARANTINED: Final = Counter(
    "celeriac_quarantined", "Invalid index members and keys of a wrong type moved to quarantine, by kind.", ["kind"]
)
QUARANTINE: Final = Gauge("celeriac_quarantine", "Records in quarantine, which `celeriac doctor` lists.", multiprocess_mode="mostrecent")
UNREADABLE: Final = Counter("celeriac_unreadable_records", "Records skipped because they could not be decoded, by kind.", ["kind"])
LOOP_PAUSE: Final = Histogram(
    "celeriac_event_loop_pause_seconds",
    "Delay of a timer of the event loop. Everything in the process waits for that long.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
LOOP_LONGEST_PAUSE: Final = Gauge(
    "celeriac_event_loop_longest_pause_seconds",
    "The longest pause of the event loop in the last minute.",
    multiprocess_mode="livemax",
)
RECYCLED: Final = Counter(
    "celeriac_processes_recycled",
    "Worker processes replaced, by reason: memory, count or broken.",
    ["reason"],
)
AUTHENTICATION_FAILURES: Final = Counter(
    "celeriac_authentication_failures", "Requests refused because of their API key or identity token, by error code.", ["code"]
)
FAILING_ADDRESSES: Final = Gauge(
    "celeriac_failing_addresses",
    "Client addresses that sent an invalid API key within the last minute, at most `CELERIAC_MAX_FAILING_ADDRESSES` per process.",
    multiprocess_mode="livesum",
)
KEY_PREVIOUS_USED: Final = Counter(
    "celeriac_key_previous_used", "Requests with the previous secret of an API key that was rotated. They fail when its overlap ends."
)
CONSOLE_SESSIONS: Final = Counter(
    "celeriac_console_sessions",
    "Console sessions by event: started, ended by signing out, or displaced because the key had the maximum number of them.",
    ["event"],
)
CONSOLE_SIGN_INS: Final = Counter(
    "celeriac_console_sign_ins",
    "Sign-ins to the console with a provider by outcome: started, completed, or the reason of a failure.",
    ["outcome"],
)
AUTHENTICATION_MODE: Final = Gauge(
    "celeriac_authentication_mode",
    "1 for how an API authenticates, by mode: keys, or none if everybody who reaches it may use it.",
    ["mode"],
    multiprocess_mode="livemax",
)
ACCESS_FILE_VALID: Final = Gauge(
    "celeriac_access_file_valid",
    "1 if a file is valid, 0 if it cannot be used and what was read before is kept, by file: keys or issuers.",
    ["file"],
    multiprocess_mode="livemin",
)
TOKENS_REFUSED: Final = Counter(
    "celeriac_identity_tokens_refused",
    "Identity tokens refused, by reason: algorithm, audience, claims, early, expired, issuer, key, malformed, signature.",
    ["reason"],
)
TOKENS_CACHED: Final = Gauge(
    "celeriac_identity_tokens_cached",
    "Verified identity tokens in memory, at most `CELERIAC_MAX_IDENTITY_TOKENS` per process.",
    multiprocess_mode="livesum",
)
ISSUER_FETCHES: Final = Counter(
    "celeriac_issuer_fetches", "Fetches of the keys of an issuer, by outcome: fetched or failed.", ["issuer", "outcome"]
)
ISSUER_KEYS_FETCHED: Final = Gauge(
    "celeriac_issuer_keys_fetched_timestamp_seconds",
    "Time of the last successful fetch of the keys of an issuer (Unix time).",
    ["issuer"],
    multiprocess_mode="mostrecent",
)
AUDIT_ENTRIES: Final = Counter("celeriac_audit_entries", "Entries written to the audit log, by action.", ["action"])
AUDIT_LOST: Final = Counter(
    "celeriac_audit_entries_lost",
    "Entries of the audit log that could not be written after their change, by action. The log has them.",
    ["action"],
)

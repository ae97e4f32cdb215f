"""All settings. Each is an environment variable: `CELERIAC_` and the name in capitals."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, WithJsonSchema, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from app.core.bucket_url import BucketURL, parse
from app.core.errors import InvalidInput
from app.core.metering import Meter
from app.core.models import POOL, ModelRef
from app.core.pools import RESERVED_POOLS, reserved_pool
from app.core.quotas import QUOTAS
from app.core.rate_limits import MAX_PER_SECOND, MAX_QUOTA, WINDOWS_S, overrides

_PREFIX: Final = "CELERIAC_"
ADVANCED: Final = frozenset(
    {
        "api_body_s", "api_linger_ready", "api_silence_s", "audit_refusals_per_minute", "autoscaled_pools", "batch_validate_s", "cluster_selector", "concurrency_max_keys", "concurrency_max_waiting", "deletion_cost", "direct_max_lag_ms", "direct_max_model_bytes", "direct_max_rows",
        "direct_max_versions", "direct_stuck_s", "flower_pools", "health_route",
        "key_prefix_takeover", "keys_stale_s", "load_wait_s", "loop_dead_s", "loop_stall_s", "lost_after_s", "max_bodies_bytes", "max_branches",
        "max_failing_addresses", "max_identity_tokens", "max_loads", "max_memory_ratio", "max_quarantine", "max_restarts", "max_stream_bytes", "max_stream_chunks", "offload_above_bytes", "offload_memory_mb",
        "offload_processes", "offload_waiting", "publish_body_s", "predict_route", "publish_memory_mb", "quarantine_ttl_s", "queue_ahead", "release", "scan_interval_s", "schedule_grace_s", "slow_load_s", "stall_timeout_s",
        "start_timeout_s", "task_events", "trace_max_model_spans", "trace_max_queue", "trace_shutdown_s", "webhook_disable_after_s", "webhook_disable_failures", "webhook_keep", "webhook_max_waiting",
    }
)  # fmt: skip
"""Settings that few installations change: tuning constants, and what the chart sets. The documentation lists them apart."""

OptionalLocation = Annotated[
    Path | BucketURL | None, NoDecode, BeforeValidator(parse), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]})
]
"""A folder, or a bucket of an object store."""
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_VERTEX: Final = {"api_port": "AIP_HTTP_PORT", "health_route": "AIP_HEALTH_ROUTE", "predict_route": "AIP_PREDICT_ROUTE"}
"""Variables that Vertex AI sets for a container. A setting of our own has priority."""
_SERVICE_LINK: Final = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "celeriac"


def _limit(unit: str, window: str) -> Any:
    return Field(
        0,
        ge=0,
        le=MAX_PER_SECOND * WINDOWS_S[window],
        description=f"Maximum {unit} per {window} of each owner; above it 429. 0 means no limit.",
    )


def _quota(name: str) -> Any:
    return Field(0, ge=0, le=MAX_QUOTA, description=f"Maximum {QUOTAS[name]} of each owner; above it 429. 0 means no limit.")


class Settings(BaseSettings):
    """All settings. The reference page is generated from the descriptions of the fields."""

    model_config = SettingsConfigDict(env_prefix="CELERIAC_", frozen=True, extra="ignore")

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="URL of Redis, which is broker and store: `redis://user:password@host:6379/0`, `rediss://…` for TLS, `sentinel://user:password@h1:26379,h2:26379/mymaster/0`.",
    )
    key_prefix: str = Field(
        "celeriac:",
        description="Prefix of every Redis key and channel: letters, digits, `.`, `_` and `-`, then one colon, which is optional. Give each installation that shares a Redis its own prefix.",
    )
    key_prefix_takeover: bool = Field(
        False,
        description="Use the key prefix although another release with other models has used it. Set it once, after that release was removed.",
    )
    release: str = Field(
        "", description="Name of this release in messages about a shared key prefix. The chart sets it to `namespace/release`."
    )
    redis_ca: Path | None = Field(None, description="CA certificate file that verifies Redis (default: the system's certificates).")
    redis_certificate: Path | None = Field(None, description="Client certificate file for Redis, if Redis requires one.")
    redis_key: Path | None = Field(None, description="Key file of the client certificate.")
    redis_sentinel_user: str = Field("", description="User name for the sentinels, if they have users of their own.")
    redis_sentinel_password: SecretStr | None = Field(None, description="Password for the sentinels, if they require one.")
    url: str = Field(
        "",
        description="Base URL of the API that the command line calls (default: the `celeriac up` of this folder, else `http://127.0.0.1:8000`).",
    )
    models: Annotated[Path | BucketURL, NoDecode, BeforeValidator(parse)] = Field(
        Path("models"),
        description="Model repository: a folder, a volume that all processes mount, or a bucket: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.",
    )
    model_cache: Path | None = Field(
        None, description="Folder for the files of models in a bucket; processes may share it (default: `models` in the state folder)."
    )
    model_cache_bytes: int = Field(
        20 << 30,
        gt=0,
        description="Maximum bytes of these files. The versions that were not used for longest make room; those in use never do.",
    )
    default_model: str = Field(
        "", description="Model that `/invocations` predicts with: `name`, `name@alias` or `name@version`. By default there is none."
    )
    keep_versions: int = Field(
        10, ge=0, description="Versions of a model that a training keeps: the newest ones, and all that are in use; 0 keeps all."
    )
    publish: Literal["on", "off"] = Field(
        "on",
        description="Publishing over the API, if it can write the model repository: `on` accepts versions from callers with the scope, `off` refuses all.",
    )
    max_version_bytes: int = Field(
        4 << 30, gt=0, description="Maximum bytes of a version that is published over the API, as sent and unpacked; above it 413."
    )
    max_publications: int = Field(
        2, gt=0, description="Versions that one API process receives and checks at once; above it 503. Each check loads the model once."
    )
    publish_body_s: float = Field(3600.0, gt=0, description="Time that a version may take to arrive; after it 408.")
    publish_memory_mb: int = Field(
        4096,
        ge=0,
        description="Memory in MiB that the check of a published version may use. Keep it below the memory of the API; 0 means no limit.",
    )
    pipelines: Path | None = Field(
        None, description="Folder of the pipelines, one `NAME.yaml` each (default: `.pipelines` in the model repository)."
    )
    max_branches: int = Field(10_000, gt=0, description="Maximum elements of a list that one step of a pipeline maps over.")
    state: Path = Field(Path(".celeriac"), description="Folder for the state of this machine: the bundled Redis, lock files, heartbeats.")
    cache: Path = Field(
        default_factory=_user_cache, description="Folder for a downloaded Redis server (default: `celeriac` in the user's cache folder)."
    )

    start_timeout_s: float = Field(
        120.0, gt=0, description="Time that `celeriac up` waits for a process or a sample model to become ready."
    )
    max_restarts: int = Field(
        5,
        ge=0,
        le=1000,
        description="Restarts of a process within five minutes before `celeriac up` stops everything.",
    )

    api_host: str = Field("127.0.0.1", description="Address that the API listens on.")
    api_port: int = Field(8000, ge=0, le=65535, description="Port of the API. Without it, `AIP_HTTP_PORT` of Vertex AI applies.")
    health_route: str = Field(
        "", description="Another path of `/ping`, for platforms that choose it (default: `AIP_HEALTH_ROUTE` of Vertex AI, else none)."
    )
    predict_route: str = Field(
        "",
        description="Another path of `/invocations`, for platforms that choose it (default: `AIP_PREDICT_ROUTE` of Vertex AI, else none).",
    )
    api_processes: int = Field(1, ge=1, le=64, description="API processes that share the port.")
    api_keep_alive_s: float = Field(
        75.0,
        ge=1,
        description="Time that the API keeps an idle connection open. Set it above the idle timeout of a proxy in front, so that the proxy does not reuse closed connections.",
    )
    api_silence_s: float = Field(
        60.0,
        gt=0,
        description="Time that a client may pause within a request, and the total time for its headers, before the API returns 408.",
    )
    api_max_connections: int = Field(
        4096, gt=0, description="Open connections per API process. Above it a new connection gets 503 and is closed."
    )
    api_linger_s: float = Field(
        0.0,
        ge=0,
        description="Time without a new request after which a terminating API exits, at most six times as long in total. It is not ready, but serves until then. A second signal skips the wait.",
    )
    api_linger_ready: bool = Field(
        False,
        description="Report ready while lingering. Kubernetes removes a terminating pod from its Services itself, and sends it requests only if no other pod is ready. The chart sets it.",
    )
    cors_origins: str = Field(
        "",
        description="Comma-separated origins whose pages may call the API from a browser, for example `https://app.example.com`, or `*` for all (default: none).",
    )
    trusted_proxies: str = Field(
        "",
        description="Comma-separated addresses and networks of the proxies in front of the API, for example `10.0.0.0/8`. `X-Forwarded-For` of these names the client (default: none).",
    )
    auth: Literal["none", "keys"] = Field(
        "none",
        description="Authentication of the API: `none` accepts every request, `keys` demands an API key or an identity token with the scope of the operation.",
    )
    console: Literal["on", "off"] = Field(
        "on", description="Web console at `/console`: `on` serves its files and sessions, `off` neither. With `off`, `/` leads to `/docs`."
    )
    console_session_s: int = Field(
        12 * 3600, gt=0, le=30 * 24 * 3600, description="Time after which a browser that signed in to the console must sign in again."
    )
    max_sessions_per_key: int = Field(
        20, gt=0, description="Browsers that may be signed in to the console with one API key; a further one ends the oldest session."
    )
    keys_file: Path | None = Field(
        None, description="YAML or JSON file with hashes of API keys, for example a mounted Secret. It is read again when it changes."
    )
    issuers_file: Path | None = Field(
        None,
        description="YAML or JSON file with issuers of identity tokens, which callers may send in place of API keys. It is read again when it changes.",
    )
    console_oidc_client_id: str = Field(
        "", description="Client ID of the console at the provider. The `audiences` of the issuer must contain it."
    )
    console_oidc_client_secret_file: Path | None = Field(
        None, description="File with the client secret, for example a mounted Secret (default: a public client, which PKCE alone protects)."
    )
    console_oidc_scopes: str = Field("openid profile email", description="Scopes that the console requests from the provider.")
    console_oidc_issuer: str = Field(
        "",
        description="Name of the issuer in `CELERIAC_ISSUERS_FILE` with which people sign in to the console (default: with API keys only).",
    )
    max_identity_tokens: int = Field(
        10_000, gt=0, description="Verified identity tokens that one API process remembers; the oldest are dropped first."
    )
    max_keys: int = Field(10_000, gt=0, description="Maximum API keys in Redis. Those of `keys_file` do not count.")
    keys_stale_s: float = Field(
        60.0,
        ge=0,
        description="Time that an API key is still accepted after it was last read while Redis does not answer. After that, the response is 503.",
    )
    auth_failures_per_minute: int = Field(
        60,
        ge=0,
        description="Requests with an invalid API key that a client address may send per minute to one API process; above it 429. Valid keys are still accepted; 0 means no limit.",
    )
    max_failing_addresses: int = Field(
        10_000, gt=0, description="Client addresses whose invalid API keys one API process counts; the oldest are dropped first."
    )
    limit_requests_per_second: int = _limit("requests", "second")
    limit_requests_per_minute: int = _limit("requests", "minute")
    limit_requests_per_hour: int = _limit("requests", "hour")
    limit_requests_per_day: int = _limit("requests", "day")
    limit_rows_per_second: int = _limit("rows", "second")
    limit_rows_per_minute: int = _limit("rows", "minute")
    limit_rows_per_hour: int = _limit("rows", "hour")
    limit_rows_per_day: int = _limit("rows", "day")
    limit_jobs_open: int = _quota("jobs_open")
    limit_batches_open: int = _quota("batches_open")
    limit_bytes_open: int = _quota("bytes_open")
    limit_files: int = _quota("files")
    limit_files_bytes: int = _quota("files_bytes")
    limit_run_seconds_per_day: int = _quota("run_seconds_per_day")
    run_seconds_pools: str = Field(
        "",
        description="Comma-separated pools whose run seconds count, for example those with GPUs (default: all pools).",
    )
    owner_limits: str = Field(
        "",
        description="Comma-separated limits of single owners, which replace those of every owner, for example `team-a=jobs_open:1000,team-a=rows_per_hour:0`. 0 means no limit.",
    )
    audit_max_entries: int = Field(
        50_000,
        ge=100,
        description="Maximum entries of the audit log, and as many refused requests beside them; the oldest are dropped first.",
    )
    audit_days: int = Field(
        90, ge=1, le=3650, description="Days that the audit log keeps an entry. Ship the log lines to keep it for longer."
    )
    audit_refusals_per_minute: int = Field(
        10,
        ge=1,
        le=1000,
        description="Refused requests per minute and client address that get an entry of their own in the audit log. One more entry counts the others.",
    )
    flower_host: str = Field("127.0.0.1", description="Address that Flower listens on.")
    flower_port: int = Field(5555, ge=0, le=65535, description="Port of Flower.")
    flower_basic_auth: SecretStr | None = Field(None, description="`user:password` that Flower requires (default: no authentication).")
    flower_url_prefix: str = Field("", description="Path prefix of Flower behind a proxy.")
    flower_pools: str = Field(
        "", description="Comma-separated pools whose queues Flower lists even if they have no worker. The chart sets it."
    )
    imports: str = Field(
        "",
        description="Comma-separated Python modules of your own that workers import, so that they can run the steps and trainers registered there.",
    )
    beat_host: str = Field("127.0.0.1", description="Address of beat's metrics and probes.")
    beat_port: int = Field(9809, ge=0, le=65535, description="Port of beat's metrics and probes.")
    worker_host: str = Field("127.0.0.1", description="Address of a worker's metrics and probes.")
    worker_port: int = Field(9808, ge=0, le=65535, description="Port of a worker's metrics and probes.")

    pool: str = Field(
        "default",
        pattern=r"^[a-z0-9-]{1,40}$",
        description="Pool of the worker. It serves the models whose manifest names this pool.",
    )
    processes: int = Field(2, ge=1, le=256, description="Predictions that one worker runs at once, each in its own process.")
    spare_processes: int = Field(
        0,
        ge=0,
        le=16,
        description="Extra processes of a worker for single predictions while chunks of batches occupy the others. `up` and the chart set 1.",
    )
    threads: int = Field(
        1,
        ge=1,
        le=256,
        description="Threads that one process may use inside a prediction. Processes times threads should not exceed the number of cores.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="Device for ONNX models: CUDA if ONNX Runtime finds a device (auto), always the CPU (cpu), or only CUDA (cuda).",
    )
    max_attempts: int = Field(
        3,
        ge=1,
        le=100,
        description="Maximum attempts of a synchronous prediction when workers die. The manifest sets the maximum of jobs.",
    )
    version_policy: str = Field(
        "minor",
        pattern=r"^(strict|minor|warn)$",
        description="Accepted difference between the scikit-learn of an artifact and the worker's: none (strict), the patch version (minor), any (warn).",
    )
    allow_pickle: bool = Field(
        True,
        description="Serve joblib artifacts and Python code. Loading them runs code that they contain, so turn it off if you do not trust who publishes models.",
    )
    scan_interval_s: float = Field(2.0, gt=0, description="Interval at which a worker looks for new versions and moved aliases.")
    probe_timeout_s: float = Field(
        60.0, gt=0, description="Time that a model may take to answer its golden sample before the version is rejected."
    )
    load_timeout_s: float = Field(300.0, gt=0, description="Time that a version may take to load before it is rejected.")
    max_loads: int = Field(
        4, ge=1, le=64, description="New versions that a worker loads and smoke-tests at the same time, each in its own process."
    )
    load_wait_s: float = Field(
        60.0,
        gt=0,
        description="Time that a starting worker waits for versions that were never served before it takes jobs. They continue to load. It does not wait for versions that failed before.",
    )
    slow_load_s: float = Field(
        5.0, gt=0, description="A version that takes longer than this to load is loaded after the others, so that they do not wait for it."
    )
    promotion_timeout_s: float = Field(
        120.0, gt=0, description="Time that a training, `models publish` and `models promote` wait until a worker serves the version."
    )
    task_events: bool = Field(True, description="Send Celery's task events, from which Flower builds its task list.")
    stall_timeout_s: float = Field(
        300.0, gt=0, description="An idle worker exits if it takes no delivery for this long while the same delivery waits."
    )
    cancel_grace_s: float = Field(5.0, gt=0, description="Time that a cancelled job may continue to run before its process is killed.")
    drain_timeout_s: float = Field(30.0, gt=0, description="Time that a terminating process gives running work to finish.")

    max_body_bytes: int = Field(16 << 20, gt=0, description="Maximum request body that the API reads; above it 413.")
    max_bodies_bytes: int = Field(
        256 << 20,
        gt=0,
        description="Maximum bytes of request bodies in one API process at once, not counting the first 64 KiB of each; above it 503.",
    )
    api_body_s: float = Field(300.0, gt=0, description="Time that a body may take to arrive, except for uploaded files; after it 408.")
    offload_above_bytes: int = Field(
        256 << 10,
        gt=0,
        description="JSON bodies and results above this size, and all tables, are converted in a separate process, so that other requests do not wait.",
    )
    offload_processes: int = Field(
        1, ge=1, le=64, description="Conversion processes per API process. The first one starts when it is needed."
    )
    offload_waiting: int = Field(
        16, ge=1, description="Maximum large bodies and results that one API process converts or queues for conversion; above it 503."
    )
    offload_memory_mb: int = Field(
        2048, ge=512, description="Address space of a conversion process in MiB. A body that needs more is rejected with 413."
    )
    max_log_bytes: int = Field(8192, gt=0, description="Bytes of model stdout and log output kept per job (tail).")
    max_stream_chunks: int = Field(
        4096, gt=0, description="Maximum tokens of a streaming job that are kept for late readers; the oldest are dropped first."
    )
    max_stream_bytes: int = Field(1 << 20, gt=0, description="Maximum bytes of these tokens.")
    blobs: OptionalLocation = Field(
        None,
        description="Folder for large bodies and results, mounted by the API and all workers, or a bucket: `s3://bucket/prefix` (default: everything goes through Redis).",
    )
    blob_above_bytes: int = Field(256 << 10, gt=0, description="Bodies and results above this size are stored in `blobs`.")
    max_blob_bytes: int = Field(10 << 30, gt=0, description="Maximum bytes of all blobs; above it new large jobs are rejected with 429.")
    files: OptionalLocation = Field(
        None,
        description="Folder for uploaded files and batches, mounted by the API and all workers, or a bucket: `s3://bucket/prefix` (default: no files and no batches).",
    )
    file_ttl_s: int = Field(30 * 24 * 3600, gt=0, description="Retention of a file, if its caller sets none, and of a batch after its end.")
    max_file_bytes: int = Field(100 << 30, gt=0, description="Maximum size of a file; above it 413.")
    max_files_bytes: int = Field(
        1 << 40, gt=0, description="Maximum bytes of all files and batches; above it new files are rejected with 507."
    )
    max_batches: int = Field(1000, gt=0, description="Maximum unfinished batches per pool; above it 429.")
    max_batch_requests: int = Field(
        50_000, gt=0, description="Maximum requests in a batch file in OpenAI's format. Tables have no such limit."
    )
    batch_validate_s: float = Field(
        10.0,
        ge=0,
        description="Time that the creation of a batch waits for the validation of its file, so that an invalid file is rejected at once.",
    )
    file_roots: str = Field(
        "", description="Comma-separated folders in which batches may read and write paths. Relative paths start at the first."
    )
    file_schemes: str = Field(
        "", description="Comma-separated URL schemes that batches may read and write through fsspec, for example `s3,gs`."
    )
    max_queue: int = Field(
        100_000,
        gt=0,
        description="Maximum deliveries that wait in one queue; above it 429. With API keys, the last tenth is kept for owners with none in the backlog.",
    )
    concurrency_max_waiting: int = Field(
        1000,
        gt=0,
        le=100_000,
        description="Maximum jobs of one concurrency key that wait until others of the key have ended; above it 429.",
    )
    concurrency_max_keys: int = Field(
        10_000, gt=0, le=1_000_000, description="Maximum concurrency keys of one owner that have jobs at the same time; above it 429."
    )
    owner_weights: str = Field(
        "",
        description="Comma-separated weights of owners, for example `team-a=4,team-b=0.5` (default: 1 each). While an owner waits, its share of a pool is in proportion to its weight.",
    )
    queue_ahead: float = Field(
        0.5,
        gt=0,
        le=1000,
        description="Deliveries for each process of a pool that wait in its queue before others wait in the backlog for the turn of their owner. At least one does.",
    )
    tier_age_s: float = Field(
        60.0,
        gt=0,
        description="Seconds after which a job of the service tier default or flex moves up one tier while jobs of a higher tier wait. It moves after half of its deadline, if that is less.",
    )
    result_ttl_s: int = Field(3600, gt=0, description="Retention of a finished job and its result.")
    job_input_bytes: int = Field(
        4096,
        ge=0,
        description="Maximum size of the input of a prediction that Redis keeps with the job after its end, in bytes (0: keeps none).",
    )
    job_ttl_s: int = Field(
        24 * 3600, gt=0, description="Retention after its deadline of a job that never finished; also the maximum deadline."
    )
    dead_letter_ttl_s: int = Field(7 * 24 * 3600, gt=0, description="Retention of a dead letter.")
    max_dead_letters: int = Field(10_000, gt=0, description="Maximum dead letters; the oldest are dropped first.")
    lost_after_s: float = Field(
        5.0, gt=0, description="Time that a delivery may be in no queue and with no worker before it is enqueued again."
    )
    max_memory_ratio: float = Field(0.8, gt=0, le=1, description="Share of Redis' maxmemory above which new jobs are rejected with 429.")
    default_deadline_s: float = Field(24 * 3600, gt=0, description="Time that a job may wait in the queue, if its caller sets no deadline.")
    infer_timeout_s: float = Field(30.0, gt=0, description="Maximum time for a synchronous prediction; after it 504.")
    trace_slow_s: float = Field(
        10.0,
        ge=0,
        description="Jobs that take at least this long are exported as traces even if they are not sampled, as failed and expired ones are.",
    )
    trace_max_queue: int = Field(8192, gt=0, description="Maximum spans that an API process keeps for the collector; more are dropped.")
    trace_max_model_spans: int = Field(
        32, ge=0, le=1000, description="Maximum spans of model code that are kept for one call of a model; 0 keeps none."
    )
    trace_shutdown_s: float = Field(
        3.0, ge=0, le=60, description="Maximum time that an API process waits at its end for the collector to take the remaining spans."
    )
    trace_url: str = Field(
        "",
        description="Address of a trace in your tracing backend, to which the console links: `https://jaeger.example.com/trace/{trace_id}`.",
    )
    price_per_hour: str = Field(
        "",
        description="Comma-separated prices of one process of a pool for an hour, in any currency, for example `default=0.05,gpu=2.4` (default: none, and jobs have no cost). The chart sets it.",
    )
    usage_days: int = Field(400, ge=0, le=3660, description="Days that the usage of owners is kept for `GET /v1/usage`. 0 keeps none.")
    usage_max_series: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Maximum owners and models, by pool, of one day of usage: up to 150 bytes each in Redis. Above it, they count together as `(other)`.",
    )
    stats_max_series: int = Field(
        200,
        ge=0,
        le=10_000,
        description="Maximum model versions, by pool, whose figures are kept for `GET /v1/stats`: up to 400 kB each in Redis. 0 keeps no figures.",
    )
    drift_max_versions: int = Field(
        50,
        ge=0,
        le=10_000,
        description="Maximum model versions whose rows are counted for `GET /v1/models/{name}/drift`: up to 1 MB each in Redis. 0 counts none.",
    )
    drift_buffer_bytes: int = Field(
        4 << 20,
        ge=1 << 10,
        description="Maximum bytes of answered rows that a process keeps until it counts them. Rows above it are not counted.",
    )
    direct: Literal["auto", "off"] = Field(
        "auto",
        description="Direct lane: `auto` lets an API process predict itself with small compiled versions, `off` sends every prediction through the queue.",
    )
    direct_max_ms: float = Field(
        2.0, gt=0, description="CPU time that a version may take for its golden sample to be predicted with in an API process."
    )
    direct_max_bytes: int = Field(
        64 << 10, gt=0, description="Maximum bytes of the input tensors of a request on the direct lane. Larger ones take the queue."
    )
    direct_max_rows: int = Field(
        64,
        gt=0,
        description="Maximum rows of a request on the direct lane, and of one call of a version there. Larger requests take the queue.",
    )
    direct_max_versions: int = Field(32, gt=0, description="Maximum versions that an API process holds for the direct lane.")
    direct_max_model_bytes: int = Field(64 << 20, gt=0, description="Maximum bytes of their files.")
    direct_max_lag_ms: float = Field(
        250.0, gt=0, description="Pause of the event loop of an API process above which its requests take the queue."
    )
    direct_stuck_s: float = Field(
        5.0, gt=0, description="Time after which an API process ends itself because a call on the direct lane has not returned."
    )
    max_wait_s: float = Field(60.0, gt=0, description="Maximum of `?wait=` and `Prefer: wait=`.")
    visibility_timeout_s: float = Field(
        10.0, ge=2, description="Time after a worker's last heartbeat before its deliveries go to other workers."
    )

    webhook_secret: SecretStr | None = Field(
        None,
        description="Secret that signs the webhooks of jobs: `whsec_` and base64 (default: generated and kept in Redis).",
    )
    webhook_allow_private: bool = Field(
        False, description="Allow webhooks to private addresses and over plain HTTP. Set it only if you trust everyone who submits jobs."
    )
    webhook_timeout_s: float = Field(15.0, gt=0, le=120, description="Time that a webhook receiver may take to respond.")
    webhook_ttl_s: int = Field(7 * 24 * 3600, gt=0, description="Retention of a webhook delivery. Its attempts take three days.")
    webhook_keep: int = Field(1000, gt=0, description="Finished deliveries that are kept per webhook; the oldest are dropped first.")
    webhook_max_waiting: int = Field(
        10_000, gt=0, description="Maximum deliveries that wait for one webhook; above it the oldest are dropped."
    )
    webhook_disable_failures: int = Field(
        20, gt=0, description="Consecutive failed attempts, over at least `webhook_disable_after_s`, that disable a registered webhook."
    )
    webhook_disable_after_s: float = Field(
        24 * 3600, ge=0, description="Minimum time since the first of these failures before a registered webhook is disabled."
    )

    cluster_selector: str = Field(
        "",
        description="Label selector of this release's workers in Kubernetes. If it is set, `GET /v1/pools` also reports on their pods. The chart sets it.",
    )
    autoscaled_pools: str = Field(
        "",
        description="Comma-separated pools that an autoscaler starts from zero when jobs wait. They count as ready without workers. The chart sets it on the API.",
    )
    pool_slo: str = Field(
        "",
        description="Comma-separated pools and the seconds within which their jobs start, for example `gpu=5,default=0.5`. `GET /v1/pools/{name}/wanted` says how many processes that takes. The chart sets it.",
    )
    pool_keep_warm: str = Field(
        "",
        description="Comma-separated pools and the seconds for which they want a process after their last job, at most 86400, for example `gpu=600`. Only with `pool_slo`. The chart sets it.",
    )
    deletion_cost: bool = Field(
        False,
        description="Let a worker annotate its pod while it is busy, so that Kubernetes removes idle pods first. The chart sets it and grants the permission.",
    )
    training_pool: str = Field("training", pattern=r"^[a-z0-9-]{1,40}$", description="Pool whose workers run trainings.")
    training_time_limit_s: float = Field(3600.0, gt=0, description="Maximum run time of a training.")
    training_memory_mb: int = Field(
        4096,
        gt=0,
        description="Memory in MiB that a training may use beyond what its process already holds. Keep it below the worker's own limit.",
    )
    training_max_fits: int = Field(
        1000, gt=0, description="Maximum fits of one training: every candidate of its search on every fold, and the final model."
    )
    training_ttl_s: int = Field(7 * 24 * 3600, gt=0, description="Retention of a finished training. Its version is kept.")
    max_trainings: int = Field(1000, gt=0, description="Maximum trainings in the list; the oldest are dropped first.")

    max_bulk_actions: int = Field(1000, gt=0, description="Maximum bulk actions in the list; the oldest are dropped first.")
    max_schedules: int = Field(1000, gt=0, description="Maximum number of schedules.")
    schedule_keep: int = Field(100, gt=0, description="Runs that are kept per schedule; the oldest are dropped first.")
    schedule_grace_s: float = Field(
        60.0, ge=5, description="A run that cannot start within this time after its planned time counts as missed."
    )

    max_process_memory_mb: int = Field(
        1024,
        ge=0,
        description="MiB that a worker process may grow by after its warm-up. Above it a fresh process replaces it without a gap; 0 means no limit.",
    )
    max_predictions_per_process: int = Field(
        0, ge=0, description="Predictions after which a fresh process replaces a worker process without a gap; 0 means no limit."
    )
    loop_stall_s: float = Field(
        60.0, gt=0, description="A process is not ready if one of its background loops has not finished a turn for this long."
    )
    loop_dead_s: float = Field(
        120.0,
        gt=0,
        description="A process is not alive, and is restarted, if one of its background loops has not finished a turn for this long.",
    )
    quarantine_ttl_s: int = Field(
        7 * 24 * 3600, gt=0, description="Retention of the record of an item that a background loop could not handle."
    )
    max_quarantine: int = Field(1000, gt=0, description="Maximum records of such items; the oldest are dropped first.")

    log_format: str = Field("text", pattern=r"^(text|json)$", description="`text` for humans, `json` for machines.")
    log_color: bool | None = Field(None, description="Color in text logs (default: if the output is a terminal).")
    log_level: str = Field("info", pattern=r"^(debug|info|warning|error)$", description="Minimum level that is logged.")

    @field_validator("key_prefix")
    @classmethod
    def _one_colon(cls, value: str) -> str:
        """End the prefix with its only colon, so that no prefix is the beginning of another one."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}:?", value):
            raise ValueError("use 1 to 63 letters, digits, '.', '_' or '-', and at most one colon, at the end: for example 'team-a:'")
        return f"{value.removesuffix(':')}:"

    @field_validator("pool", "training_pool")
    @classmethod
    def _free_pool_name(cls, value: str) -> str:
        """Refuse the names of Redis keys."""
        if value in RESERVED_POOLS:
            raise ValueError(reserved_pool(value))
        return value

    @field_validator("default_model")
    @classmethod
    def _model_reference(cls, value: str) -> str:
        if value:
            try:
                ModelRef.parse(value)
            except InvalidInput as error:
                raise ValueError(error.detail) from None
        return value

    @field_validator("health_route", "predict_route")
    @classmethod
    def _absolute_path(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError("use a path that begins with a slash, for example /predict")
        return value

    @field_validator("run_seconds_pools")
    @classmethod
    def _names_of_pools(cls, value: str) -> str:
        """Refuse what no pool can be named. Its run seconds would never count."""
        for pool in names(value):
            if not POOL.fullmatch(pool):
                raise ValueError(f"{pool!r} is not the name of a pool. Use lowercase letters, digits and -, separated by commas")
        return value

    @field_validator("console_oidc_issuer")
    @classmethod
    def _complete_client(cls, value: str, info: ValidationInfo) -> str:
        if value and not re.fullmatch(r"[a-z0-9-]{1,20}", value):
            raise ValueError("use the `name` of an issuer: up to 20 lowercase letters, digits and '-', for example 'company'")
        if value and not (info.data.get("auth") == "keys" and info.data.get("issuers_file") and info.data.get("console_oidc_client_id")):
            raise ValueError("it needs CELERIAC_AUTH=keys, CELERIAC_ISSUERS_FILE and CELERIAC_CONSOLE_OIDC_CLIENT_ID")
        return value

    @field_validator("trace_url")
    @classmethod
    def _links_to_a_trace(cls, value: str) -> str:
        if value and not (value.startswith(("https://", "http://")) and "{trace_id}" in value):
            raise ValueError("it must begin with https:// or http:// and contain {trace_id}")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _exact_origins(cls, value: str) -> str:
        """Refuse what no browser sends as the origin of a page."""
        for origin in names(value):
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is not an origin. Use scheme, host in lower case and port: for example 'https://app.example.com'"
                )
        return value

    @field_validator("owner_weights")
    @classmethod
    def _positive_weights(cls, value: str) -> str:
        """Refuse a weight that is not a positive number."""
        weights(value)
        return value

    @field_validator("pool_slo", "pool_keep_warm")
    @classmethod
    def _seconds_of_pools(cls, value: str) -> str:
        """Refuse a time that is not a positive number, and what no pool can be named."""
        seconds_by_pool(value)
        return value

    @field_validator("owner_limits")
    @classmethod
    def _limits_that_exist(cls, value: str) -> str:
        """Refuse a limit that does not exist, or is not a number."""
        overrides(value)
        return value

    @field_validator("price_per_hour")
    @classmethod
    def _prices_of_pools(cls, value: str) -> str:
        """Refuse a price that is not a number, or not that of a pool."""
        prices(value)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        """Refuse host names, and `*`, with which every client could choose its address."""
        for network in names(value):
            try:
                ip_network(network)
            except ValueError:
                raise ValueError(f"{network!r} is not an address or a network. Use for example '10.0.0.0/8' or '192.0.2.7'") from None
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments and the environment only."""
        return init_settings, _Environment(settings_cls)

    @property
    def pipelines_folder(self) -> Path:
        """The folder of pipelines, by default on the volume that all processes mount."""
        return self.pipelines or self.models_folder / ".pipelines"

    @property
    def models_folder(self) -> Path:
        """The folder that shows the model repository: itself, or the mirror of a bucket."""
        if isinstance(self.models, Path):
            return self.models
        # A cache may hold mirrors of several buckets.
        return (self.model_cache or self.state / "models") / hashlib.sha256(str(self.models).encode()).hexdigest()[:16]

    @property
    def models_address(self) -> str:
        """The model repository as another process on this machine would name it."""
        return address(self.models)

    @property
    def meter(self) -> Meter:
        """How usage is measured and kept."""
        return Meter(self.usage_days, self.usage_max_series, prices(self.price_per_hour))

    @property
    def silent_s(self) -> float:
        """Seconds without a heartbeat after which a process stops running its delivery, just before the transport gives the message to another worker."""
        return 0.9 * self.visibility_timeout_s


def address(location: Path | BucketURL) -> str:
    """Return a folder or a bucket as another process on this machine would name it."""
    return str(location.resolve() if isinstance(location, Path) else location)


def names(listed: str) -> list[str]:
    """Split a comma-separated setting into its elements."""
    return [name for part in listed.split(",") if (name := part.strip())]


def weights(listed: str) -> dict[str, float]:
    """Return the weight of each owner of a setting. Raises ValueError for a weight that is not between 0.001 and 1000."""
    owners = {}
    for element in names(listed):
        owner, separator, weight = element.rpartition("=")
        try:
            number = float(weight)
        except ValueError:
            number = 0.0
        if not owner or not separator or not 0.001 <= number <= 1000:
            raise ValueError(f"{element!r} is not OWNER=WEIGHT with a weight from 0.001 to 1000. Use for example 'team-a=4,team-b=0.5'")
        owners[owner] = number
    return owners


@cache
def prices(listed: str) -> Mapping[str, float]:
    """Return the price of each pool of a setting. Raises ValueError for a price that is not between 0 and 1,000,000."""
    pools = {}
    for element in names(listed):
        pool, separator, price = element.partition("=")
        try:
            number = float(price)
        except ValueError:
            number = -1.0
        if not POOL.fullmatch(pool) or not separator or not 0 <= number <= 1_000_000:
            raise ValueError(f"{element!r} is not POOL=PRICE with a price from 0 to 1000000. Use for example 'default=0.05,gpu=2.4'")
        pools[pool] = number
    return MappingProxyType(pools)


def seconds_by_pool(listed: str) -> dict[str, float]:
    """Return the seconds of each pool of a setting. Raises ValueError for a time that is not between 0.01 and 86400."""
    pools = {}
    for element in names(listed):
        pool, _, text = element.partition("=")
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not POOL.fullmatch(pool) or not 0.01 <= seconds <= 86400:
            raise ValueError(f"{element!r} is not POOL=SECONDS with a time from 0.01 to 86400. Use for example 'gpu=5,default=0.5'")
        pools[pool] = seconds
    return pools


def service_links(environment: Mapping[str, str] = os.environ, prefix: str = _PREFIX) -> dict[str, str]:
    """Return the variables that are named like a setting but were injected by Kubernetes for a service.

    A service `celeriac-api` sets `CELERIAC_API_PORT=tcp://10.0.0.1:8000` in every container of its namespace.
    See https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
    """
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(prefix) and name.endswith("_PORT") and _SERVICE_LINK.fullmatch(value)
    }


class _Environment(EnvSettingsSource):
    """Environment variables, without those that Kubernetes injects for services, and with those of Vertex AI."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, complex_ = super().get_field_value(field, field_name)
        if f"{_PREFIX}{field_name.upper()}" in service_links():
            value = None
        return (os.environ.get(_VERTEX.get(field_name, "")) if value is None else value), key, complex_


@cache
def settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        InvalidInput: A variable has an invalid value. The message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        variable = f"{_PREFIX}{field.upper()}"
        if variable not in os.environ:
            variable = _VERTEX.get(field, variable)
        raise InvalidInput(f"{variable} is {first['input']!r}: {first['msg'].removeprefix('Value error, ')}") from None

"""Every setting, read from the environment in this one file: `CELERIAC_` and the name in capitals."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from app.core.errors import InvalidInput

_PREFIX: Final = "CELERIAC_"
_SERVICE_LINK: Final = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "celeriac"


class Settings(BaseSettings):
    """The description of a field is its documentation: the README's table is made from it."""

    model_config = SettingsConfigDict(env_prefix="CELERIAC_", frozen=True, extra="ignore")

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis, broker and store in one: `redis://user:password@host:6379/0`, `rediss://…` for TLS, `sentinel://user:password@h1:26379,h2:26379/mymaster/0`.",
    )
    key_prefix: str = Field(
        "celeriac:",
        description="What every Redis key and channel begins with: letters, digits, `.`, `_` and `-`, then one colon, which may be omitted. Give each installation that shares a Redis its own.",
    )
    key_prefix_takeover: bool = Field(
        False,
        description="Use the key prefix although another release with other models has used it. Set it once, after that release has gone.",
    )
    release: str = Field(
        "", description="The name of this release in messages about a shared key prefix. The chart sets it to `namespace/release`."
    )
    redis_ca: Path | None = Field(
        None, description="The file of the authority that signed Redis' certificate; where it is not set, the system's are trusted."
    )
    redis_certificate: Path | None = Field(None, description="The certificate that we show to Redis, where it asks for one.")
    redis_key: Path | None = Field(None, description="The key of that certificate.")
    redis_sentinel_user: str = Field("", description="The user that the sentinels know us by, where they have users of their own.")
    redis_sentinel_password: SecretStr | None = Field(None, description="The password that the sentinels ask for, where they do.")
    url: str = Field("", description="The API that the command line asks; where it is not set, the one of `api_host` and `api_port`.")
    models: Path = Field(Path("models"), description="The model repository: a folder, or a volume that all processes mount.")
    keep_versions: int = Field(
        10, ge=0, description="Versions of a model that are kept after a training, the newest, beside those in use; 0 keeps all."
    )
    pipelines: Path | None = Field(
        None, description="The folder of pipelines, a `NAME.yaml` each, which the API reads; else `.pipelines` in the model repository."
    )
    max_branches: int = Field(10_000, gt=0, description="Elements of a list that one step of a pipeline may go through.")
    state: Path = Field(
        Path(".celeriac"), description="Where this machine keeps what is its own: the bundled Redis, lock files, heartbeats."
    )
    cache: Path = Field(
        default_factory=_user_cache, description="Where a fetched Redis server is kept: `celeriac` in the user's cache folder."
    )

    start_timeout_s: float = Field(120.0, gt=0, description="How long `celeriac up` waits for a process or a sample model to be ready.")
    max_restarts: int = Field(
        5,
        ge=0,
        le=1000,
        description="How often `celeriac up` restarts a process that dies within five minutes, before it stops everything.",
    )

    api_host: str = Field("127.0.0.1", description="The address that the API listens on.")
    api_port: int = Field(8000, ge=0, le=65535, description="The port of the API.")
    api_processes: int = Field(1, ge=1, le=64, description="API processes that share the port.")
    api_keep_alive_s: float = Field(
        75.0, ge=1, description="How long the API keeps an idle connection: longer than a proxy in front does, or that meets closed ones."
    )
    api_silence_s: float = Field(
        60.0,
        gt=0,
        description="How long a client may be silent in the middle of a request, and how long its headers may take in all, before the API answers 408.",
    )
    api_max_connections: int = Field(
        4096, gt=0, description="Open connections of one API process; above it a new connection is answered with 503 and closed."
    )
    api_linger_s: float = Field(
        0.0,
        ge=0,
        description="An API that is told to stop takes requests, un-ready, until none has come for so long, at most four times; told again, it hurries.",
    )
    api_linger_ready: bool = Field(
        False,
        description="Report ready while lingering. Kubernetes removes a terminating pod from its Services itself, and sends it requests only if no other pod is ready. The chart sets it.",
    )
    flower_host: str = Field("127.0.0.1", description="The address that Flower listens on.")
    flower_port: int = Field(5555, ge=0, le=65535, description="The port of Flower.")
    flower_basic_auth: SecretStr | None = Field(
        None, description="`user:password` that Flower asks for; nothing is asked where it is not set."
    )
    flower_url_prefix: str = Field("", description="The path prefix under which Flower is reached behind a proxy.")
    flower_pools: str = Field(
        "", description="Pools whose queues Flower lists even if they have no worker, separated by commas. The chart sets it."
    )
    imports: str = Field(
        "", description="Python modules of your own that workers import, separated by commas: what they register can be run."
    )
    beat_host: str = Field("127.0.0.1", description="The address of beat's metrics and probes.")
    beat_port: int = Field(9809, ge=0, le=65535, description="The port of beat's metrics and probes.")
    worker_host: str = Field("127.0.0.1", description="The address of a worker's metrics and probes.")
    worker_port: int = Field(9808, ge=0, le=65535, description="The port of a worker's metrics and probes.")

    pool: str = Field(
        "default",
        pattern=r"^[a-z0-9-]{1,40}$",
        description="The pool that a worker belongs to: it serves the models whose manifest names it.",
    )
    processes: int = Field(2, ge=1, le=256, description="Predictions that one worker runs at once, each in a process of its own.")
    spare_processes: int = Field(
        0,
        ge=0,
        le=16,
        description="Processes of a worker beside these: with one, which `up` and the chart set, a single prediction finds it free while chunks of batches run in the others.",
    )
    threads: int = Field(
        1,
        ge=1,
        le=256,
        description="Threads that one process may use inside a prediction: processes times threads should not exceed the cores.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="What runs ONNX models: a CUDA device where ONNX Runtime knows one (auto), never (cpu), or nothing else (cuda).",
    )
    max_attempts: int = Field(
        3,
        ge=1,
        le=100,
        description="Runs of a synchronous prediction whose worker dies, in all; a job's own limit stands in its model's manifest.",
    )
    version_policy: str = Field(
        "minor",
        pattern=r"^(strict|minor|warn)$",
        description="How far the scikit-learn of an artefact may differ from the worker's: not at all (strict), in the patch (minor), at will (warn).",
    )
    allow_pickle: bool = Field(
        True,
        description="Serve joblib artefacts and Python code. Loading one runs code that it holds: refuse them where models come from people you do not trust.",
    )
    scan_interval_s: float = Field(2.0, gt=0, description="How often a worker looks for new versions and moved aliases.")
    probe_timeout_s: float = Field(60.0, gt=0, description="How long a model may take to answer its golden sample before it is refused.")
    load_timeout_s: float = Field(300.0, gt=0, description="How long a version may take to load before it is refused.")
    max_loads: int = Field(
        4, ge=1, le=64, description="New versions that a worker loads and smoke-tests at the same time, each in processes of its own."
    )
    load_wait_s: float = Field(
        60.0,
        gt=0,
        description="How long a starting worker waits for versions that were never served before it takes jobs; they go on loading.",
    )
    slow_load_s: float = Field(
        5.0, gt=0, description="A version that takes longer to load is loaded after the others, so that they need not wait for it."
    )
    promotion_timeout_s: float = Field(
        120.0, gt=0, description="How long a training, `models publish` and `models promote` wait until a worker serves the version."
    )
    task_events: bool = Field(True, description="Send Celery's task events, which Flower draws its task list from.")
    stall_timeout_s: float = Field(
        300.0, gt=0, description="A worker that is idle and takes nothing for so long, though the same delivery waits all the time, ends."
    )
    cancel_grace_s: float = Field(5.0, gt=0, description="How long a cancelled job may run on, before its process is killed.")
    drain_timeout_s: float = Field(30.0, gt=0, description="How long a stopping process lets running work end.")

    max_body_bytes: int = Field(16 << 20, gt=0, description="The largest body that the API reads; above it 413.")
    max_bodies_bytes: int = Field(
        256 << 20,
        gt=0,
        description="Bytes of bodies that one API process holds at once, of each body those above the first 64 KiB; above it 503.",
    )
    api_body_s: float = Field(
        300.0, gt=0, description="How long a body may take to arrive; after that 408. Uploaded files have no such bound."
    )
    offload_above_bytes: int = Field(
        256 << 10,
        gt=0,
        description="JSON bodies and results above it are converted in a process of their own, so that other requests do not wait.",
    )
    offload_processes: int = Field(1, ge=1, le=64, description="Such processes of one API process. The first starts when it is needed.")
    offload_waiting: int = Field(
        16, ge=1, description="Large bodies and results that one API process converts, or that wait for it; above it 503."
    )
    offload_memory_mb: int = Field(2048, ge=512, description="Address space of such a process. A body that needs more is refused with 413.")
    max_log_bytes: int = Field(
        8192, gt=0, description="What a job keeps of that which the code of its model or step printed and logged: the end."
    )
    max_stream_chunks: int = Field(
        4096, gt=0, description="Pieces of what a model yields that are kept for who watches its job late; the oldest go first."
    )
    max_stream_bytes: int = Field(1 << 20, gt=0, description="The same in bytes.")
    blobs: Path | None = Field(
        None,
        description="The folder of large bodies and results, which the API and all workers mount; where it is not set, all goes through Redis.",
    )
    blob_above_bytes: int = Field(256 << 10, gt=0, description="Bodies and results above it go to `blobs`.")
    max_blob_bytes: int = Field(10 << 30, gt=0, description="All blobs together; above it new large jobs are refused with 429.")
    files: Path | None = Field(
        None,
        description="The folder of uploaded files and of batches, which the API and all workers mount; where it is not set there are none.",
    )
    file_ttl_s: int = Field(
        30 * 24 * 3600, gt=0, description="How long a file is kept, where its caller says nothing, and a batch after its end."
    )
    max_file_bytes: int = Field(100 << 30, gt=0, description="The largest file that is taken; above it 413.")
    max_files_bytes: int = Field(1 << 40, gt=0, description="All files and batches together; above it new files are refused with 507.")
    max_batches: int = Field(1000, gt=0, description="Batches of one pool that may be under way; above it 429.")
    max_batch_requests: int = Field(
        50_000, gt=0, description="Requests in one batch file of OpenAI's form; a table may have any number of rows."
    )
    batch_validate_s: float = Field(
        10.0, ge=0, description="How long a new batch is held until its file was looked through, so that a bad one is refused at once."
    )
    file_roots: str = Field(
        "", description="Folders below which batches may read and write paths, separated by commas; relative paths begin at the first."
    )
    file_schemes: str = Field(
        "", description="Schemes of URLs that batches may read and write by fsspec, separated by commas, as in `s3,gs`."
    )
    max_queue: int = Field(100_000, gt=0, description="Deliveries that may wait in one queue; above it 429.")
    result_ttl_s: int = Field(3600, gt=0, description="How long a finished job and its result are kept.")
    job_ttl_s: int = Field(
        24 * 3600, gt=0, description="How long after its deadline a job that nobody finished is kept; the longest deadline."
    )
    dead_letter_ttl_s: int = Field(7 * 24 * 3600, gt=0, description="How long a dead letter is kept.")
    max_dead_letters: int = Field(10_000, gt=0, description="Dead letters that are kept; the oldest go first.")
    lost_after_s: float = Field(
        5.0, gt=0, description="How long a delivery may be in no list and with no worker before it is enqueued again."
    )
    max_memory_ratio: float = Field(0.8, gt=0, le=1, description="The part of Redis' maxmemory above which new jobs are refused with 429.")
    default_deadline_s: float = Field(24 * 3600, gt=0, description="How long a job may wait in the queue where the caller says nothing.")
    infer_timeout_s: float = Field(30.0, gt=0, description="How long a synchronous prediction is waited for before 504.")
    max_wait_s: float = Field(60.0, gt=0, description="The longest hold of `?wait=` and `Prefer: wait=`.")
    visibility_timeout_s: float = Field(
        10.0, ge=2, description="How long after its worker's last sign of life a delivery is given to another."
    )

    webhook_secret: SecretStr | None = Field(
        None,
        description="What the webhooks that jobs bring along are signed with, `whsec_` and base64; where it is not set, one is made and kept in Redis.",
    )
    webhook_allow_private: bool = Field(
        False, description="Let webhooks go to private addresses and over plain http: where only people you trust may submit jobs."
    )
    webhook_timeout_s: float = Field(15.0, gt=0, le=120, description="How long the receiver of a webhook may take to answer.")
    webhook_ttl_s: int = Field(7 * 24 * 3600, gt=0, description="How long a webhook's delivery is kept; attempts take three days.")
    webhook_keep: int = Field(1000, gt=0, description="Ended deliveries that are kept for each webhook; the oldest go first.")
    webhook_max_waiting: int = Field(
        10_000, gt=0, description="Deliveries that may wait for one webhook; above it the oldest are given up."
    )
    webhook_disable_failures: int = Field(
        20, gt=0, description="Failed attempts in a row, over `webhook_disable_after_s`, that disable a registered webhook."
    )
    webhook_disable_after_s: float = Field(
        24 * 3600, ge=0, description="How long ago the first of these failures must be before a registered webhook is disabled."
    )

    cluster_selector: str = Field(
        "",
        description="The labels of this release's workers in Kubernetes, as a selector: with it `GET /v1/pools` asks the cluster too. The chart sets it.",
    )
    autoscaled_pools: str = Field(
        "",
        description="Pools that an autoscaler starts from zero when jobs wait, separated by commas: without workers they still count as ready. The chart sets it on the API.",
    )
    deletion_cost: bool = Field(
        False,
        description="A worker says on its pod whether it is busy, so that idle pods go first. The chart sets it, and grants the right.",
    )
    training_pool: str = Field("training", pattern=r"^[a-z0-9-]{1,40}$", description="The pool whose workers run trainings.")
    training_time_limit_s: float = Field(3600.0, gt=0, description="The longest that a training may run.")
    training_memory_mb: int = Field(
        4096,
        gt=0,
        description="Memory that a training may take beside what its process holds already; keep it below the worker's own limit.",
    )
    training_max_fits: int = Field(
        1000, gt=0, description="How often one training may fit: every candidate of its search on every fold, and the model itself."
    )
    training_ttl_s: int = Field(
        7 * 24 * 3600, gt=0, description="How long a training that has ended is kept; the version that it made stays."
    )
    max_trainings: int = Field(1000, gt=0, description="Trainings that are listed; the oldest go first.")

    max_schedules: int = Field(1000, gt=0, description="Schedules that there may be.")
    schedule_keep: int = Field(100, gt=0, description="Runs of each schedule that are remembered; the oldest go first.")
    schedule_grace_s: float = Field(
        60.0, ge=5, description="A run that cannot begin within this time after it was planned is a missed one."
    )

    max_process_memory_mb: int = Field(
        1024,
        ge=0,
        description="MiB that a worker's process may grow by after it is warm. Above it a fresh process replaces it, without a gap; 0 is no limit.",
    )
    max_predictions_per_process: int = Field(
        0, ge=0, description="Predictions after which a fresh process replaces one of a worker, without a gap; 0 is no limit."
    )
    loop_stall_s: float = Field(
        60.0, gt=0, description="A process is not ready if one of its background loops has not finished a turn for this long."
    )
    loop_dead_s: float = Field(
        120.0,
        gt=0,
        description="A process is not alive, and is restarted, if one of its background loops has not finished a turn for this long.",
    )
    quarantine_ttl_s: int = Field(7 * 24 * 3600, gt=0, description="How long the note of something that a loop could not handle is kept.")
    max_quarantine: int = Field(1000, gt=0, description="Notes of what loops could not handle that are kept; the oldest go first.")

    log_format: str = Field("text", pattern=r"^(text|json)$", description="`text` for people, `json` for machines.")
    log_color: bool | None = Field(None, description="Colour in text logs; where it is not set, where the output is a terminal.")
    log_level: str = Field("info", pattern=r"^(debug|info|warning|error)$", description="The least serious level that is logged.")

    @field_validator("key_prefix")
    @classmethod
    def _one_colon(cls, value: str) -> str:
        """End the prefix with its only colon, so that no prefix is the beginning of another one."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}:?", value):
            raise ValueError("use 1 to 63 letters, digits, '.', '_' or '-', and at most one colon, at the end: for example 'team-a:'")
        return f"{value.removesuffix(':')}:"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Environment(settings_cls)

    @property
    def pipelines_folder(self) -> Path:
        """On the volume that all processes mount, if nothing else is said."""
        return self.pipelines or self.models / ".pipelines"

    @property
    def silent_s(self) -> float:
        """Without a sign of life for so long a process no longer runs its delivery: just before the transport gives the message away."""
        return 0.9 * self.visibility_timeout_s


def names(listed: str) -> list[str]:
    """The elements of a setting that is a list separated by commas."""
    return [name for part in listed.split(",") if (name := part.strip())]


def service_links(environment: Mapping[str, str] = os.environ, prefix: str = _PREFIX) -> dict[str, str]:
    """Variables that have the name of a setting, but were injected by Kubernetes for a service.

    A service `celeriac-api` sets `CELERIAC_API_PORT=tcp://10.0.0.1:8000` in every container of its namespace.
    See https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
    """
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(prefix) and name.endswith("_PORT") and _SERVICE_LINK.fullmatch(value)
    }


class _Environment(EnvSettingsSource):
    """Environment variables, without those that Kubernetes injects for services."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, complex_ = super().get_field_value(field, field_name)
        return (None if f"{_PREFIX}{field_name.upper()}" in service_links() else value), key, complex_


@cache
def settings() -> Settings:
    """The settings of this process, read once. Raises InvalidInput that names the variable which is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            f"CELERIAC_{str(first['loc'][0]).upper()} is {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
        ) from None

"""Every Redis key and channel, with its content and its lifetime.

`PREFIX` is the only spelling of the prefix in the code. Celery, redbeat and Flower use it, too. Lua scripts name a key by its name in this
module (`keys.JOBS`, or `keys.job .. id` for a function), and get its spelling when they are loaded.
"""

from __future__ import annotations

import hashlib
from typing import Final

from app.settings import settings

PREFIX: Final = settings().key_prefix
"""The setting `key_prefix`, with its colon. A process has one prefix, read when this module is imported."""

RELEASE: Final = f"{PREFIX}release"
"""String, JSON: the release and the models that use this prefix. Never expires."""

JOBS: Final = f"{PREFIX}jobs"
"""Sorted set of job ids by creation time; those of records that are gone are dropped."""

OWNERS: Final = f"{PREFIX}owners"
"""Sorted set of the owners that have created something, by the time they last did; dropped when nothing of theirs can be left."""

MANIFESTS: Final = f"{PREFIX}manifests"
"""Hash `name/version` -> the manifest that a worker inferred for a bare folder; a field ends with the folder."""

WORKERS: Final = f"{PREFIX}workers"
"""Hash worker -> JSON of what it serves; a worker that is silent for a minute is dropped."""

DEAD: Final = f"{PREFIX}dead"
"""Sorted set of the jobs that have a dead letter, by the time of death; bounded by `max_dead_letters`."""

MAINTENANCE: Final = f"{PREFIX}maintenance"
"""String, the API process that looks after delayed and lost deliveries; expires seconds after its last heartbeat."""

WITHDRAWN: Final = f"{PREFIX}withdrawn"
"""Set of models that were taken out of service: until they are loaded again."""

DIRECT_FAILURES: Final = f"{PREFIX}direct:failures"
"""Hash `name/version` -> JSON of the death of an API process that was calling the version; the hash ends a week after the last one."""

SERVING: Final = f"{PREFIX}serving"
"""Hash `name/alias` -> the version that a worker served for it last; the bare name has the alias "". A field ends with its alias or model."""

SERVED_BEFORE: Final = f"{PREFIX}serving:before"
"""Hash `name/alias` -> the version that was served for it before the one in `SERVING`. A field ends with that of `SERVING`."""

FAILED_PROMOTIONS: Final = f"{PREFIX}promotions:failed"
"""Hash `name/alias` -> JSON of the last failed promotion; a field ends with the next promotion of the alias, or after a week."""

TABLES: Final = f"{PREFIX}tables:revision"
"""Hash `models`: how often a model repository in a bucket was changed; `revision`: how often `WORKERS`, `MANIFESTS`, `WITHDRAWN`, `DIRECT_FAILURES`, `SERVING`, `SERVED_BEFORE` and `FAILED_PROMOTIONS` have changed. Never expires."""

TABLES_CHANGED: Final = f"{PREFIX}event:tables"
"""Channel: a message when one of these tables changed. A heartbeat that reports nothing new is not a change."""

TRAININGS: Final = f"{PREFIX}trainings"
"""Sorted set of trainings' jobs by creation time; bounded by `max_trainings`."""

SCHEDULES: Final = f"{PREFIX}redbeat::schedule"
"""Sorted set, celery-redbeat's own: the keys of schedules by the time of their next run, -1 for one that is paused."""

BEAT: Final = f"{PREFIX}redbeat::lock"
"""String, the beat that fires; expires seconds after its last heartbeat."""

OPEN_BYTES: Final = f"{PREFIX}jobs:open-bytes"
"""Hash owner -> bytes of the inputs of its open jobs: only with a limit on them, a field ends with the last of these jobs."""

RECONCILE: Final = f"{PREFIX}followups"
"""Sorted set of parents (`batch:ID`) by the time to look at them: when a job of theirs ended, or after a while."""

RECONCILE_DUE: Final = f"{PREFIX}event:followups"
"""Channel: a message when a parent in `RECONCILE` is due."""

CANVAS: Final = f"{PREFIX}canvas"
"""What the keys of Celery's result backend begin with, for `app.canvas` alone: `result_ttl_s`, those of chords `job_ttl_s`."""

EVENTS: Final = f"{PREFIX}events"
"""Sorted set of `job event` and `batch:ID:ROUND state` that may notify webhooks, by the time to handle it. The process that handles an event removes it."""

WEBHOOKS_DUE: Final = f"{PREFIX}event:webhooks"
"""Channel: a message when an event in `EVENTS` or a delivery in `WEBHOOK_DELIVERIES` is due earlier than another."""

TRACES: Final = f"{PREFIX}traces:ended"
"""Sorted set of `DELIVERY JOBS ID…` whose traces are to be exported, by the time to do it; bounded by `traces.lua`."""

TRACES_STATE: Final = f"{PREFIX}traces:state"
"""Hash: how many members of `TRACES` were dropped since an API process has looked."""

EXPIRING: Final = f"{PREFIX}expiring"
"""Sorted set of watched jobs by deadline; a job that has ended is removed."""

WEBHOOKS: Final = f"{PREFIX}webhooks"
"""Hash, registered webhook -> JSON. The events of a job are kept only if there is one, or if the job has a webhook of its own."""

WEBHOOK_SECRET: Final = f"{PREFIX}webhook-secret"
"""String, what the webhooks of jobs are signed with, where `webhook_secret` is not set."""

WEBHOOK_DELIVERIES: Final = f"{PREFIX}notices"
"""Sorted set of the webhook deliveries that are to be sent, by the time of the next attempt; the sender delays or removes them."""

QUARANTINE: Final = f"{PREFIX}quarantine"
"""Sorted set of what loops could not handle, by the time of the last failure; bounded by `max_quarantine` and `quarantine_ttl_s`."""

QUARANTINE_NOTES: Final = f"{PREFIX}quarantine:notes"
"""Hash, what is known of each of these: as long as they are listed."""

ASIDE: Final = f"{PREFIX}aside:"
"""What the new name of a key begins with that was moved aside because it held a wrong type: `quarantine_ttl_s`."""

API_KEYS: Final = f"{PREFIX}api-keys"
"""Sorted set of the ids of API keys by creation time; bounded by `max_keys`."""

ADMIN_KEYS: Final = f"{PREFIX}api-keys:admin"
"""Sorted set of the API keys with the scope `admin` that are not disabled, by their expiry: as long as they exist."""

API_KEYS_CHANGED: Final = f"{PREFIX}event:api-keys"
"""Channel: the id of an API key that was created, changed or deleted."""

POOL_STATES: Final = f"{PREFIX}pools:states"
"""Hash pool -> JSON of its state, for a pool that is paused or draining: until it is resumed."""

START_SECONDS: Final = f"{PREFIX}pools:start-seconds"
"""Hash pool -> the seconds that its last worker took to start. A field stays, so that it is known while the pool has no worker."""

POOLS_CHANGED: Final = f"{PREFIX}event:pools"
"""Channel: the name of a pool whose state changed."""

PAUSED_MODELS: Final = f"{PREFIX}models:paused"
"""Hash model -> JSON of its pause: until the model is resumed."""

WAITING_MODELS: Final = f"{PREFIX}models:waiting"
"""Set of the models that have paused deliveries: until the last of these is back in its queue."""

MODELS_CHANGED: Final = f"{PREFIX}event:models"
"""Channel: the name of a model that was paused or resumed."""

AUDIT: Final = f"{PREFIX}audit"
"""Stream `prev`, `entry`: the audit log of changes; bounded by `audit_max_entries` and `audit_days`."""

AUDIT_REFUSALS: Final = f"{PREFIX}audit:refusals"
"""Stream, the same for refused requests, which must not displace changes."""

AUDIT_HEADS: Final = f"{PREFIX}audit:heads"
"""Hash `last`, `changes`, `refusals`: the newest ID of both streams; ID and digest of the newest entry of each. Never expires."""

PUBLISHED: Final = f"{PREFIX}audit:published"
"""Sorted set of `name/version` that the audit log knows of, by the time when it was noticed; a version that is deleted is removed, the oldest first."""

CONCURRENCY: Final = f"{PREFIX}concurrency"
"""Sorted set of the concurrency keys in use, by the time they were last checked; one without jobs is removed."""

STATS: Final = f"{PREFIX}stats:series"
"""Sorted set of the series `POOL/MODEL/VERSION` whose figures are kept, by the time they were last used; bounded by `stats_max_series`."""

LIVE_COUNTS: Final = f"{PREFIX}live-counts:versions"
"""Sorted set of the versions `MODEL/VERSION/BINS` whose live rows are counted, by the time of the last one; bounded by `drift_max_versions`."""

DRIFT: Final = f"{PREFIX}live-counts:lease"
"""String, the API process that computes the metrics of drift: as long as it extends it."""

BULK_ACTIONS: Final = f"{PREFIX}bulk:actions"
"""Sorted set of the ids of bulk actions by creation time; bounded by `max_bulk_actions`."""

BATCHES: Final = f"{PREFIX}batches"
"""Sorted set of batch ids by creation time; members older than any record can be are dropped now and then."""


def jobs_of(owner: str) -> str:
    """Sorted set of the ids of an owner's jobs by creation time; those of records that are gone are dropped."""
    return f"{PREFIX}jobs:of:{owner}"


def batches_of(owner: str) -> str:
    """Sorted set of the ids of an owner's batches by creation time; members older than any record can be are dropped now and then."""
    return f"{PREFIX}batches:of:{owner}"


def trainings_of(owner: str) -> str:
    """Sorted set of an owner's trainings by creation time; bounded by `max_trainings`, gone with the owner's last thing."""
    return f"{PREFIX}trainings:of:{owner}"


def open_jobs(owner: str) -> str:
    """Sorted set of the owner's jobs that have not ended, by the time when their records expire: only with a limit on them, until the last one ends."""
    return f"{PREFIX}jobs:open:{owner}"


def open_batches(owner: str) -> str:
    """Sorted set of the owner's batches that have not ended, by the time when their records expire: only with a limit on them, until the last one ends."""
    return f"{PREFIX}batches:open:{owner}"


def run_seconds(day: int | str) -> str:
    """Hash owner -> milliseconds that its work ran on a UTC day, counted in days since 1970: two days; only with a limit on them."""
    return f"{PREFIX}run-seconds:{day}"


def usage_places(day: int | str) -> str:
    """Hash `POOL/MODEL/OWNER` -> the place of its numbers in `usage_figures`, for a UTC day, counted in days since 1970: `usage_days`."""
    return f"{PREFIX}usage:places:{day}"


def usage_figures(day: int | str) -> str:
    """String, the jobs, rows, run time and cost of each of these on a UTC day: `usage_days`."""
    return f"{PREFIX}usage:figures:{day}"


def console_session(digest: str) -> str:
    """String, JSON: the API key or identity of a browser that signed in to the console, by the hash of its cookie: until the session ends."""
    return f"{PREFIX}console-session:{digest}"


def console_sessions(holder: str) -> str:
    """Sorted set of the hashes of the console sessions of an API key or identity by expiry: until the last one ends; bounded by `max_sessions_per_key`."""
    return f"{PREFIX}console-sessions:{holder}"


def api_key(id: str) -> str:
    """Hash `record`, `revision`, `last_used_at`: until the API key is deleted."""
    return f"{PREFIX}api-key:{id}"


def rate_limit(name: str) -> str:
    """String, the theoretical arrival time of the limit `POLICY:OWNER` or `POLICY:KEY` in microseconds: until its quota is complete."""
    return f"{PREFIX}rate-limit:{name}"


def broken_versions(pool: str) -> str:
    """Hash `name/version` -> the stamp of the files of a version that failed its smoke test: until it passes, or a week after the last change."""
    return f"{PREFIX}broken:{pool}"


def paused_deliveries(model: str) -> str:
    """Sorted set of the deliveries that wait until the model is resumed, in the order of their ids; bounded by `max_queue` and what was queued before."""
    return f"{PREFIX}models:waiting:{model}"


def paused(pool: str) -> str:
    """Hash `since`, whose length KEDA reads: as long as the pool is paused."""
    return f"{PREFIX}paused:{pool}"


def bulk_action(id: str) -> str:
    """Hash `spec`, `progress`, the record of a bulk action: `result_ttl_s` after its last step."""
    return f"{PREFIX}bulk:{id}"


def batch(id: str) -> str:
    """Hash, the record of a batch: its completion window and then as long as its files."""
    return f"{PREFIX}batch:{id}"


def batch_open(id: str) -> str:
    """Hash, the rows of a batch that are in a chunk's job or wait again to be, by the first one: as long as the record."""
    return f"{PREFIX}batch:{id}:open"


def batch_parts(id: str) -> str:
    """Hash, the rows of a batch that are done, by the first one: as long as the record."""
    return f"{PREFIX}batch:{id}:parts"


def batch_output(identity: str) -> str:
    """String, the id of the batch that writes this file: as long as the batch's record."""
    return f"{PREFIX}batch-output:{hashlib.sha256(identity.encode()).hexdigest()}"


def batches_out(pool: str) -> str:
    """Sorted set of the chunks that have a job in the pool, by the time of its release; a few for each slot."""
    return f"{PREFIX}batches:out:{pool}"


def batches_active(pool: str) -> str:
    """Sorted set of the pool's batches that have not ended, by creation time; bounded by `max_batches`."""
    return f"{PREFIX}batches:active:{pool}"


def giving_way(pool: str) -> str:
    """String, the process whose chunk gives way to a single prediction: milliseconds."""
    return f"{PREFIX}giving-way:{pool}"


def webhook_health(webhook: str) -> str:
    """Hash `failures`, `failing_since`, `disabled` of a registered webhook: as long as it is registered."""
    return f"{PREFIX}webhook:{webhook}"


def schedule(id: str) -> str:
    """Hash `definition`, `meta`, celery-redbeat's own, by the name with the mark of its owner: as long as there is the schedule."""
    return f"{PREFIX}redbeat:{id}"


def runs(schedule: str) -> str:
    """Sorted set of a schedule's runs as JSON, by their planned time; bounded by `schedule_keep`, gone with the schedule."""
    return f"{PREFIX}runs:{schedule}"


def webhook_delivery(id: str) -> str:
    """Hash, one webhook delivery with all its attempts: `webhook_ttl_s`."""
    return f"{PREFIX}notice:{id}"


def webhook_deliveries_of(webhook: str) -> str:
    """Sorted set of all stored deliveries of the webhook, by creation time."""
    return f"{PREFIX}notices:of:{webhook}"


def webhook_deliveries_waiting(webhook: str) -> str:
    """Sorted set of the webhook's deliveries that wait, by creation time; bounded by `webhook_max_waiting`."""
    return f"{PREFIX}notices:waiting:{webhook}"


def webhook_deliveries_ended(webhook: str) -> str:
    """Sorted set of the webhook's deliveries that have ended, by creation time; bounded by `webhook_keep`."""
    return f"{PREFIX}notices:ended:{webhook}"


def job(id: str) -> str:
    """Hash, the record of a job: until `job_ttl_s` after its deadline, and `result_ttl_s` after its end."""
    return f"{PREFIX}job:{id}"


def tokens(job_id: str) -> str:
    """Stream, what the running attempt of a job has yielded, by the revision of its record: `result_ttl_s` after the last."""
    return f"{PREFIX}job:{job_id}:chunks"


def pipeline(id: str) -> str:
    """Hash, a run of a pipeline: `plan`, `inputs`, `count:NAME` of each step that was begun, `step:NAME` of each that has ended: `job_ttl_s`."""
    return f"{PREFIX}pipeline:{id}"


def job_inputs(delivery: str) -> str:
    """String, the body of a delivery that has ended, for those who read its jobs: `result_ttl_s`; only below `job_input_bytes` for each job."""
    return f"{PREFIX}job-inputs:{delivery}"


def delivery(id: str) -> str:
    """Hash, the body of a delivery and the ids of its jobs: until it ends, at most `job_ttl_s` after the last deadline."""
    return f"{PREFIX}delivery:{id}"


def list_of(queue: str) -> str:
    """List, Celery's own: one message a delivery."""
    return f"{PREFIX}{queue}"


def counts(queue: str) -> str:
    """Hash `entered`, `left`: jobs that ever entered and left the queue; their difference is the queue's length in jobs."""
    return f"{PREFIX}counts:{queue}"


def deliveries(queue: str) -> str:
    """Sorted set of the deliveries that have not ended, by the time they were last seen with a message."""
    return f"{PREFIX}deliveries:{queue}"


def backlog(queue: str) -> str:
    """Hash delivery -> message of the deliveries that wait for the turn of their owner, whose length KEDA reads: bounded as the queue is."""
    return f"{PREFIX}backlog:{queue}"


def backlog_of(name: str) -> str:
    """List `begin delivery` of what an owner has in the backlog, for `QUEUE:OWNER`: until the last one is released."""
    return f"{PREFIX}backlog:of:{name}"


def turns(queue: str) -> str:
    """Sorted set of the owners that have something in the backlog, by the begin of their first delivery: until the last one is released."""
    return f"{PREFIX}turns:{queue}"


def charged(queue: str) -> str:
    """Sorted set of owners, by the end of their last delivery in virtual time: until the clock passes it, or the backlog is empty."""
    return f"{PREFIX}charged:{queue}"


def fairness(queue: str) -> str:
    """Hash of the virtual time (`clock`), the length of the queue beside a backlog (`target`), and what went to its front (`ahead`). Gone with the backlog."""
    return f"{PREFIX}fairness:{queue}"


def moved(queue: str) -> str:
    """Sorted set of the deliveries that were moved up to this queue and have not started: +inf, or when one without a record expires; a day, bounded by the processes of the pool."""
    return f"{PREFIX}moved:{queue}"


def stats_hour(name: str) -> str:
    """String, the figures of an hour by minute and by half hour, for `HOUR:SERIES` with hours since 1970: 32 hours."""
    return f"{PREFIX}stats:hour:{name}"


def stats_days(name: str) -> str:
    """String, the figures of 32 days by day, for `PERIOD:SERIES` with periods since 1970: 433 days."""
    return f"{PREFIX}stats:days:{name}"


def live_counts(name: str) -> str:
    """String, how many live rows were in each bin, for `SECONDS:PERIOD:MODEL/VERSION/BINS` with periods since 1970: two windows of them."""
    return f"{PREFIX}live-counts:{name}"


def held_back(queue: str) -> str:
    """Hash delivery -> message of the deliveries that wait for a slot of their concurrency key: until they are admitted or end."""
    return f"{PREFIX}held-back:{queue}"


def concurrency(name: str) -> str:
    """Hash `limit`, `keep`, `order` of a concurrency key, `MARK~KEY` with the mark of its owner: as long as it has jobs."""
    return f"{PREFIX}concurrency:key:{name}"


def admitted(name: str) -> str:
    """Sorted set of the jobs of a concurrency key that are queued or run, in the order of submission: as long as there are some."""
    return f"{PREFIX}concurrency:admitted:{name}"


def waiting(name: str) -> str:
    """Sorted set of the jobs of a concurrency key that are held back, in the order of submission; bounded by `concurrency_max_waiting`."""
    return f"{PREFIX}concurrency:waiting:{name}"


def concurrency_of(mark: str) -> str:
    """Sorted set of the concurrency keys in use of an owner, by the mark of the owner; bounded by `concurrency_max_keys`."""
    return f"{PREFIX}concurrency:of:{mark}"


def running(queue: str) -> str:
    """Sorted set of the deliveries that processes run, by their last heartbeat."""
    return f"{PREFIX}running:{queue}"


def delayed(queue: str) -> str:
    """Sorted set of the deliveries that wait for another attempt, by the time they are due."""
    return f"{PREFIX}delayed:{queue}"


def dead(job_id: str) -> str:
    """Hash, a dead letter: input, error, attempts with worker and time; `dead_letter_ttl_s`."""
    return f"{PREFIX}dead:{job_id}"


def unacked(pool: str) -> str:
    """Name (the prefix is Celery's to add) of the hash of messages that the pool's workers hold."""
    return f"unacked:{pool}"


def held(pool: str) -> tuple[str, str]:
    """That hash, and the sorted set of its messages by the last sign of life of who holds them."""
    return f"{PREFIX}{unacked(pool)}", f"{PREFIX}{unacked(pool)}:index"


def attempts(delivery_id: str) -> str:
    """Counter of the runs of a delivery without records, made when it is delivered again: an hour."""
    return f"{PREFIX}attempts:{delivery_id}"


def death(delivery_id: str) -> str:
    """String, why the process that ran a delivery last was killed, if its parent knows: a day."""
    return f"{PREFIX}death:{delivery_id}"


def runner(delivery_id: str) -> str:
    """String, `time host/pid` of the process that runs a delivery without records which was delivered again: an hour."""
    return f"{PREFIX}runner:{delivery_id}"


def reply(process: str) -> str:
    """Channel of one API process: a message for each of its deliveries that ended. A list of this name keeps missed ones for a minute."""
    return f"{PREFIX}reply:{process}"


def event(job_id: str) -> str:
    """Channel of one job: a message when the record changes and somebody watches it."""
    return f"{PREFIX}event:{job_id}"

"""What each operation of the API demands of a caller, and what the audit log has of it. An operation that is missing is refused to everybody.

A test compares the table with the OpenAPI document.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from app.core.api_keys import Scope
from app.core.audit import Action


class Access(Enum):
    """What an operation demands instead of a scope."""

    OPEN = "open"
    """Nothing: probes, which tell nothing about models or jobs."""
    ANY_KEY = "any key"
    """A valid key, whatever its scopes: what models exist and what they take."""
    DENIED = "denied"
    """More than any key has."""


Requirement = Scope | Access

OPERATIONS: Final[dict[str, Requirement]] = {
    "infer_v2_models__name__infer_post": Scope.PREDICT,
    "infer_v2_models__name__versions__version__infer_post": Scope.PREDICT,
    "predict_v1_models__name__predict_post": Scope.PREDICT,
    "predict_v1_models__name__versions__version__predict_post": Scope.PREDICT,
    "create_v1_embeddings_post": Scope.PREDICT,
    "exchange_mcp_post": Scope.PREDICT,
    "invocations_invocations_post": Scope.PREDICT,
    "model_invocations_models__name__invocations_post": Scope.PREDICT,
    "submit_v1_jobs_post": Scope.PREDICT,
    "submit_table_v1_jobs_table_post": Scope.PREDICT,
    "put_v1_jobs__id__put": Scope.PREDICT,
    "retry_v1_jobs__id__retry_post": Scope.PREDICT,
    "cancel_v1_jobs__id__delete": Scope.PREDICT,
    "listed_v1_jobs_get": Scope.JOBS_READ,
    "read_v1_jobs__id__get": Scope.JOBS_READ,
    "diagnose_v1_jobs__id__diagnosis_get": Scope.JOBS_READ,
    "events_v1_jobs__id__events_get": Scope.JOBS_READ,
    "listed_v1_pipelines_get": Access.ANY_KEY,
    "read_v1_pipelines__name__get": Access.ANY_KEY,
    "create_v1_batches_post": Scope.BATCH,
    "cancel_v1_batches__id__cancel_post": Scope.BATCH,
    "resume_v1_batches__id__resume_post": Scope.BATCH,
    "listed_v1_batches_get": Scope.JOBS_READ,
    "read_v1_batches__id__get": Scope.JOBS_READ,
    "parts_v1_batches__id__parts_get": Scope.JOBS_READ,
    "part_v1_batches__id__parts__first__content_get": Scope.JOBS_READ,
    "events_v1_batches__id__events_get": Scope.JOBS_READ,
    "create_v1_files_post": Scope.BATCH,
    "listed_v1_files_get": Scope.BATCH,
    "read_v1_files__id__get": Scope.BATCH,
    "content_v1_files__id__content_get": Scope.BATCH,
    "delete_v1_files__id__delete": Scope.BATCH,
    "trainers_v1_trainers_get": Access.ANY_KEY,
    "submit_v1_trainings_post": Scope.TRAIN,
    "cancel_v1_trainings__id__delete": Scope.TRAIN,
    "listed_v1_trainings_get": Scope.JOBS_READ,
    "read_v1_trainings__id__get": Scope.JOBS_READ,
    "events_v1_trainings__id__events_get": Scope.JOBS_READ,
    "create_v1_schedules_post": Scope.OPERATE,
    "delete_v1_schedules__name__delete": Scope.OPERATE,
    "pause_v1_schedules__name__pause_post": Scope.OPERATE,
    "resume_v1_schedules__name__resume_post": Scope.OPERATE,
    "run_v1_schedules__name__run_post": Scope.OPERATE,
    "listed_v1_schedules_get": Scope.JOBS_READ,
    "read_v1_schedules__name__get": Scope.JOBS_READ,
    "runs_v1_schedules__name__runs_get": Scope.JOBS_READ,
    "listed_v1_dead_letters_get": Scope.OPERATE,
    "groups_v1_dead_letters_groups_get": Scope.OPERATE,
    "read_v1_dead_letters__id__get": Scope.OPERATE,
    "replay_v1_dead_letters__id__replay_post": Scope.OPERATE,
    "replay_many_v1_dead_letters_replay_post": Scope.OPERATE,
    "discard_v1_dead_letters__id__delete": Scope.OPERATE,
    "discard_many_v1_dead_letters_delete": Scope.OPERATE,
    "cancel_v1_bulk_actions_cancel_post": Scope.PREDICT,
    "replay_v1_bulk_actions_replay_post": Scope.OPERATE,
    "listed_v1_bulk_actions_get": Scope.JOBS_READ,
    "read_v1_bulk_actions__id__get": Scope.JOBS_READ,
    "listed_v1_webhooks_get": Scope.ADMIN,
    "register_v1_webhooks_post": Scope.ADMIN,
    "default_secret_v1_webhooks_default_secret_get": Scope.ADMIN,
    "read_v1_webhooks__id__get": Scope.ADMIN,
    "change_v1_webhooks__id__patch": Scope.ADMIN,
    "delete_v1_webhooks__id__delete": Scope.ADMIN,
    "rotate_v1_webhooks__id__secret_post": Scope.ADMIN,
    "deliveries_v1_webhooks__id__deliveries_get": Scope.ADMIN,
    "delivery_v1_webhooks__id__deliveries__delivery__get": Scope.ADMIN,
    "replay_v1_webhooks__id__deliveries__delivery__replay_post": Scope.ADMIN,
    "create_v1_keys_post": Scope.ADMIN,
    "listed_v1_keys_get": Scope.ADMIN,
    "read_v1_keys__id__get": Scope.ADMIN,
    "rotate_v1_keys__id__rotate_post": Scope.ADMIN,
    "disable_v1_keys__id__disable_post": Scope.ADMIN,
    "enable_v1_keys__id__enable_post": Scope.ADMIN,
    "delete_v1_keys__id__delete": Scope.ADMIN,
    "listed_v1_audit_get": Scope.ADMIN,
    "verify_v1_audit_verification_get": Scope.ADMIN,
    "listed_v1_limits_get": Access.ANY_KEY,
    "read_v1_stats_get": Scope.JOBS_READ,
    "read_v1_usage_get": Scope.JOBS_READ,
    "listed_v1_models_get": Access.ANY_KEY,
    "model_v1_models__name__get": Access.ANY_KEY,
    "version_v1_models__name__versions__version__get": Access.ANY_KEY,
    "read_v1_models__name__drift_get": Scope.JOBS_READ,
    "publish_v1_models__name__versions_post": Scope.MODELS_WRITE,
    "promote_v1_models__name__aliases__alias__put": Scope.MODELS_WRITE,
    "remove_v1_models__name__versions__version__delete": Scope.MODELS_WRITE,
    "pause_v1_models__name__pause_post": Scope.MODELS_WRITE,
    "resume_v1_models__name__resume_post": Scope.MODELS_WRITE,
    "listed_v1_pools_get": Scope.JOBS_READ,
    "wanted_v1_pools__name__wanted_get": Scope.OPERATE,
    "pause_v1_pools__name__pause_post": Scope.OPERATE,
    "resume_v1_pools__name__resume_post": Scope.OPERATE,
    "drain_v1_pools__name__drain_post": Scope.OPERATE,
    "server_v2_get": Access.ANY_KEY,
    "live_v2_health_live_get": Access.OPEN,
    "ready_v2_health_ready_get": Access.OPEN,
    "metadata_v2_models__name__get": Access.ANY_KEY,
    "metadata_v2_models__name__versions__version__get": Access.ANY_KEY,
    "config_v2_models__name__config_get": Access.ANY_KEY,
    "config_v2_models__name__versions__version__config_get": Access.ANY_KEY,
    "model_ready_v2_models__name__ready_get": Access.ANY_KEY,
    "model_ready_v2_models__name__versions__version__ready_get": Access.ANY_KEY,
    "index_v2_repository_index_post": Access.ANY_KEY,
    "load_v2_repository_models__name__load_post": Scope.MODELS_WRITE,
    "unload_v2_repository_models__name__unload_post": Scope.MODELS_WRITE,
    "read_console_session_get": Access.ANY_KEY,
    "start_console_session_post": Access.ANY_KEY,
    "end_console_session_delete": Access.ANY_KEY,
    "ping_ping_get": Access.OPEN,
    "live_livez_get": Access.OPEN,
    "ready_readyz_get": Access.OPEN,
    "metrics_metrics_get": Scope.OPERATE,
}
"""The requirement of every operation, by its OpenAPI operation ID. HEAD demands what GET does."""


AUDITED: Final[dict[str, Action]] = {
    "cancel_v1_jobs__id__delete": Action.JOB_CANCELLED,
    "cancel_v1_trainings__id__delete": Action.JOB_CANCELLED,
    "cancel_v1_batches__id__cancel_post": Action.BATCH_CANCELLED,
    "resume_v1_batches__id__resume_post": Action.BATCH_RESUMED,
    "delete_v1_files__id__delete": Action.FILE_DELETED,
    "create_v1_schedules_post": Action.SCHEDULE_CREATED,
    "delete_v1_schedules__name__delete": Action.SCHEDULE_DELETED,
    "pause_v1_schedules__name__pause_post": Action.SCHEDULE_PAUSED,
    "resume_v1_schedules__name__resume_post": Action.SCHEDULE_RESUMED,
    "run_v1_schedules__name__run_post": Action.SCHEDULE_STARTED,
    "replay_v1_dead_letters__id__replay_post": Action.DEAD_LETTER_REPLAYED,
    "replay_many_v1_dead_letters_replay_post": Action.DEAD_LETTER_REPLAYED,
    "discard_v1_dead_letters__id__delete": Action.DEAD_LETTER_DISCARDED,
    "discard_many_v1_dead_letters_delete": Action.DEAD_LETTER_DISCARDED,
    "cancel_v1_bulk_actions_cancel_post": Action.BULK_ACTION_STARTED,
    "replay_v1_bulk_actions_replay_post": Action.BULK_ACTION_STARTED,
    "pause_v1_pools__name__pause_post": Action.POOL_PAUSED,
    "drain_v1_pools__name__drain_post": Action.POOL_DRAINED,
    "resume_v1_pools__name__resume_post": Action.POOL_RESUMED,
    "register_v1_webhooks_post": Action.WEBHOOK_CREATED,
    "change_v1_webhooks__id__patch": Action.WEBHOOK_CHANGED,
    "delete_v1_webhooks__id__delete": Action.WEBHOOK_DELETED,
    "rotate_v1_webhooks__id__secret_post": Action.WEBHOOK_ROTATED,
    "replay_v1_webhooks__id__deliveries__delivery__replay_post": Action.WEBHOOK_REPLAYED,
    "create_v1_keys_post": Action.KEY_CREATED,
    "rotate_v1_keys__id__rotate_post": Action.KEY_ROTATED,
    "disable_v1_keys__id__disable_post": Action.KEY_DISABLED,
    "enable_v1_keys__id__enable_post": Action.KEY_ENABLED,
    "delete_v1_keys__id__delete": Action.KEY_DELETED,
    "publish_v1_models__name__versions_post": Action.MODEL_PUBLISHED,
    "promote_v1_models__name__aliases__alias__put": Action.MODEL_PROMOTION_REQUESTED,
    "remove_v1_models__name__versions__version__delete": Action.MODEL_DELETED,
    "pause_v1_models__name__pause_post": Action.MODEL_PAUSED,
    "resume_v1_models__name__resume_post": Action.MODEL_RESUMED,
    "load_v2_repository_models__name__load_post": Action.MODEL_LOADED,
    "unload_v2_repository_models__name__unload_post": Action.MODEL_UNLOADED,
}
"""What the audit log calls each operation that it has. Those of jobs, batches and files have an entry if they belong to another owner."""

_WORK: Final = "It makes a job of its caller, whose record has the owner."
NOT_AUDITED: Final[dict[str, str]] = {
    "infer_v2_models__name__infer_post": _WORK,
    "infer_v2_models__name__versions__version__infer_post": _WORK,
    "predict_v1_models__name__predict_post": _WORK,
    "predict_v1_models__name__versions__version__predict_post": _WORK,
    "create_v1_embeddings_post": _WORK,
    "exchange_mcp_post": _WORK,
    "invocations_invocations_post": _WORK,
    "model_invocations_models__name__invocations_post": _WORK,
    "submit_v1_jobs_post": _WORK,
    "submit_table_v1_jobs_table_post": _WORK,
    "put_v1_jobs__id__put": _WORK,
    "retry_v1_jobs__id__retry_post": "It makes another job of the same owner, and changes nothing of the first one.",
    "create_v1_batches_post": "It makes a batch of its caller, whose record has the owner.",
    "create_v1_files_post": "It makes a file of its caller, whose description has the owner.",
    "submit_v1_trainings_post": "It makes a job of its caller. The version that it publishes and its promotion are audited.",
    "index_v2_repository_index_post": "It changes nothing.",
    "start_console_session_post": "A session may do what its key may do. Entries of what it does name the key.",
    "end_console_session_delete": "It ends a session of its caller.",
}
"""Why the audit log does not have the other operations whose method is not GET. A test compares both tables with the OpenAPI document."""


def required(operation: str) -> Requirement:
    """Return what an operation demands: DENIED if the table does not name it."""
    return OPERATIONS.get(operation, Access.DENIED)

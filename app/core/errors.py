"""Every error that Celeriac reports, with a stable `code`. None depends on HTTP; `app.api.http.problems` maps them.

CeleriacError
├── InvalidInput                 invalid_input           a field of the request is wrong; `pointer` names it
│   ├── InvalidJSON              invalid_json            the body is not JSON
│   ├── InvalidTensor            invalid_tensor          data, shape and datatype of a tensor disagree
│   ├── InvalidFile              invalid_file            a file is not what it should be; the detail names the line or column
│   └── UnknownField             unknown_field           a field that nothing reads
├── InvalidIdempotencyKey        invalid_idempotency_key the header is not a quoted string
├── IdempotencyMismatch          idempotency_mismatch    the key was used before, with another payload
├── PayloadTooLarge              payload_too_large       the body is above the limit
├── RequestTimeout               request_timeout         the body did not arrive in time
├── Overloaded                   overloaded              too many large bodies at once; try again later
├── UnsupportedMediaType         unsupported_media_type  the content type is not one that this route reads
├── ModelNotFound                model_not_found         no model of that name
│   └── VersionNotFound          version_not_found       the model has no such version or alias
├── ModelUnavailable             model_unavailable       the version exists but cannot be served; the detail says why
├── ModelPaused                  model_paused            the model is paused and answers no synchronous requests; jobs wait
├── ModelConflict                model_conflict          the version exists already, is needed, or the alias moved meanwhile
├── RolloutNotFound              rollout_not_found       the alias has no rollout, and had none
├── ShadowNotFound               shadow_not_found        the alias has no shadow
├── ModelsReadOnly               models_read_only        this process may not write the model repository
├── ModelStoreUnavailable        model_store_unavailable the bucket of the model repository does not answer, or cannot be used
├── JobNotFound                  job_not_found           no job of that id
├── JobExpired                   job_expired             the job is older than the retention of results
├── JobConflict                  job_conflict            the job's state does not allow it
├── BulkActionNotFound            bulk_action_not_found   no bulk action of that id: it has expired
├── DeadLetterNotFound           dead_letter_not_found   no dead letter of that id: replayed, discarded or expired
├── BatchNotFound                batch_not_found         no batch of that id
├── BatchConflict                batch_conflict          the batch's state does not allow it
├── FileNotFound                 file_not_found          no file of that id, or at that place
├── FilesUnavailable             files_unavailable       the server keeps no files, or their folder or bucket cannot be used
├── StorageFull                  storage_full            the volume has no room for the file
├── ScheduleNotFound             schedule_not_found      no schedule of that name
├── ScheduleConflict             schedule_conflict       the schedule exists already, or the number of schedules is at its limit
├── WebhookNotFound              webhook_not_found       no webhook, or no delivery of it, of that id
├── WebhookConflict              webhook_conflict        the webhook's state does not allow it
├── CredentialsMissing           credentials_missing     the request has no API key, and needs one
│   ├── InvalidKey               invalid_key             the API key is malformed, unknown, wrong, disabled or expired
│   └── InvalidToken             invalid_token           the identity token is malformed, expired, or not from an accepted issuer for this API
├── IssuerUnavailable            issuer_unavailable      the keys of the token's issuer could not be fetched; try again later
├── RoleMissing                  role_missing            no rule gives the holder of the identity token a role
├── TooManyFailures              too_many_failures       the address sent too many invalid API keys; try again later
├── CredentialsConflict          credentials_conflict    the request has two different API keys
├── ScopeMissing                 scope_missing           the API key lacks the scope that the operation needs
├── CrossOriginRefused           cross_origin_refused    a page of another origin sent the request, and authentication is off
├── KeyRestricted                key_restricted          the API key does not allow this model or pool
├── KeyNotFound                  key_not_found           no API key of that id
├── KeyConflict                  key_conflict            the API key's state, or the number of keys, does not allow it
├── ConcurrencyLimitReached      concurrency_limit_reached the concurrency key has its limit of jobs, and the job must not wait
├── PoolNotFound                 pool_not_found          no model and no worker names the pool
├── PoolDraining                 pool_draining           the pool completes its work and accepts no new one until it is resumed
├── PredictionFailed             prediction_failed       the model raised
│   ├── InvalidOutput            invalid_output          the model answered with another shape or datatype than declared
│   ├── PredictionOutOfMemory    out_of_memory           the prediction needed more memory than there is
│   ├── TimeLimitExceeded        time_limit_exceeded     the prediction ran longer than its limit
│   └── WorkerLost               worker_lost             the worker died with it as often as the policy allows
├── WorkFailed                   work_failed             a chunk, a step or a training raised
├── PipelineNotFound             pipeline_not_found      no pipeline of that name
├── PipelineUnavailable          pipeline_unavailable    its file is not valid; the detail says in which line
├── PayloadLost                  payload_lost            a large input or result is not among the blobs
├── RecordUnreadable             record_unreadable       a record in Redis has a wrong type or content
├── DeadlineExceeded             deadline_exceeded       the deadline passed before the job was run
├── QueueFull                    queue_full              the queue is at its bound; try again later
├── RateLimited                  rate_limited            a rate limit of the owner or of the API key is reached; try again later
├── QuotaExceeded                quota_exceeded          the owner has as much under way or stored as it may; try again when some of it is gone
└── StoreUnavailable             store_unavailable       Redis or the bucket of large bodies does not answer
    └── StoreUnfit               store_unfit             Redis answers, and would lose jobs
"""

from __future__ import annotations

import reprlib
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from app.core.rate_limits import Usage

_LONGEST_DETAIL: Final = 4000
_LONGEST_POINTER: Final = 1000


class _Short(reprlib.Repr):
    """Shortens without a look at the whole value: the standard class sorts all keys of a dictionary to show four."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 100

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        return super().repr_dict(dict(islice(x.items(), self.maxdict + 1)), level)


_SHORT: Final = _Short()


def shown(value: Any) -> str:
    """Return the `repr` of a value that a caller sent, shortened: an error must not repeat a whole body."""
    return _SHORT.repr(value)


def error_text(error: BaseException) -> str:
    """Return `Type: message`, or `Type` without a message, as bounded text that can be encoded. A message of another library may fail."""
    try:
        message = str(error)[:2000]
    except Exception:  # noqa: BLE001 whatever it raises
        message = "its message cannot be read"
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return text.encode(errors="backslashreplace").decode()


class CeleriacError(Exception):
    """Base of all. `detail` says what happened and what would be right; `pointer` (RFC 6901) names the field.

    Both are bounded, because they often repeat what the caller sent. A pointer that is too long names the field around it.
    """

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, *, pointer: str | None = None) -> None:
        if len(detail) > _LONGEST_DETAIL:
            detail = f"{detail[:_LONGEST_DETAIL]}…"
        if pointer is not None and len(pointer) > _LONGEST_POINTER:
            pointer = pointer[:_LONGEST_POINTER].rpartition("/")[0]
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer

    def as_dict(self) -> dict[str, Any]:
        """Return the error as in a job object: `{code, detail[, pointer]}`."""
        error: dict[str, Any] = {"code": self.code, "detail": self.detail}
        if self.pointer is not None:
            error["pointer"] = self.pointer
        return error


class InvalidInput(CeleriacError):
    code = "invalid_input"
    title = "The input is not valid"


class InvalidJSON(InvalidInput):
    code = "invalid_json"
    title = "The body is not JSON"


class InvalidTensor(InvalidInput):
    code = "invalid_tensor"
    title = "A tensor is not valid"


class InvalidFile(InvalidInput):
    code = "invalid_file"
    title = "A file is not valid"


class UnknownField(InvalidInput):
    code = "unknown_field"
    title = "A field is not known"


class InvalidIdempotencyKey(CeleriacError):
    code = "invalid_idempotency_key"
    title = "The Idempotency-Key is not valid"


class IdempotencyMismatch(CeleriacError):
    code = "idempotency_mismatch"
    title = "The Idempotency-Key was used with another payload"


class PayloadTooLarge(CeleriacError):
    code = "payload_too_large"
    title = "The body is too large"


class RequestTimeout(CeleriacError):
    code = "request_timeout"
    title = "The request did not arrive in time"


class Overloaded(CeleriacError):
    code = "overloaded"
    title = "The server has too many large bodies to read"

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class UnsupportedMediaType(CeleriacError):
    code = "unsupported_media_type"
    title = "The content type is not supported"


class ModelNotFound(CeleriacError):
    code = "model_not_found"
    title = "The model does not exist"


class VersionNotFound(ModelNotFound):
    code = "version_not_found"
    title = "The model has no such version"


class ModelUnavailable(CeleriacError):
    code = "model_unavailable"
    title = "The model cannot be served"


class ModelPaused(CeleriacError):
    code = "model_paused"
    title = "The model is paused"

    def __init__(self, detail: str, *, retry_after_s: float = 10.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ModelConflict(CeleriacError):
    code = "model_conflict"
    title = "The model's versions do not allow it"


class RolloutNotFound(CeleriacError):
    code = "rollout_not_found"
    title = "The alias has no rollout"


class ShadowNotFound(CeleriacError):
    code = "shadow_not_found"
    title = "The alias has no shadow"


class ModelsReadOnly(CeleriacError):
    code = "models_read_only"
    title = "The model repository cannot be written here"


class ModelStoreUnavailable(CeleriacError):
    code = "model_store_unavailable"
    title = "The object store of the models cannot be used"


class JobNotFound(CeleriacError):
    code = "job_not_found"
    title = "The job does not exist"


class JobExpired(CeleriacError):
    code = "job_expired"
    title = "The job's record has expired"


class JobConflict(CeleriacError):
    code = "job_conflict"
    title = "The job's state does not allow it"


class DeadLetterNotFound(CeleriacError):
    code = "dead_letter_not_found"
    title = "The dead letter does not exist"


class BulkActionNotFound(CeleriacError):
    code = "bulk_action_not_found"
    title = "The bulk action does not exist"


class BatchNotFound(CeleriacError):
    code = "batch_not_found"
    title = "The batch does not exist"


class BatchConflict(CeleriacError):
    code = "batch_conflict"
    title = "The batch's state does not allow it"


class FileNotFound(CeleriacError):
    code = "file_not_found"
    title = "The file does not exist"


class FilesUnavailable(CeleriacError):
    code = "files_unavailable"
    title = "Files cannot be kept"


class StorageFull(CeleriacError):
    code = "storage_full"
    title = "The volume has no room for the file"


class ScheduleNotFound(CeleriacError):
    code = "schedule_not_found"
    title = "The schedule does not exist"


class ScheduleConflict(CeleriacError):
    code = "schedule_conflict"
    title = "The schedule conflicts with existing schedules"


class WebhookNotFound(CeleriacError):
    code = "webhook_not_found"
    title = "The webhook does not exist"


class WebhookConflict(CeleriacError):
    code = "webhook_conflict"
    title = "The webhook's state does not allow it"


class CredentialsMissing(CeleriacError):
    code = "credentials_missing"
    title = "The request needs an API key"


class InvalidKey(CredentialsMissing):
    code = "invalid_key"
    title = "The API key is not valid"


class InvalidToken(CredentialsMissing):
    code = "invalid_token"
    title = "The identity token is not valid"

    def __init__(self, detail: str, *, reason: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


class IssuerUnavailable(CeleriacError):
    code = "issuer_unavailable"
    title = "The identity token cannot be verified now"

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RoleMissing(CeleriacError):
    code = "role_missing"
    title = "The identity token has no role here"


class TooManyFailures(CeleriacError):
    code = "too_many_failures"
    title = "Too many requests with an invalid API key"

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class CredentialsConflict(CeleriacError):
    code = "credentials_conflict"
    title = "The request has two different API keys"


class ScopeMissing(CeleriacError):
    code = "scope_missing"
    title = "The API key lacks a scope"

    def __init__(self, detail: str, *, scope: str = "") -> None:
        super().__init__(detail)
        self.scope = scope


class CrossOriginRefused(CeleriacError):
    code = "cross_origin_refused"
    title = "The request comes from a page of another origin"


class KeyRestricted(CeleriacError):
    code = "key_restricted"
    title = "The API key does not allow this model or pool"


class KeyNotFound(CeleriacError):
    code = "key_not_found"
    title = "The API key does not exist"


class KeyConflict(CeleriacError):
    code = "key_conflict"
    title = "The API key's state does not allow it"


class PoolNotFound(CeleriacError):
    code = "pool_not_found"
    title = "The pool does not exist"


class PoolDraining(CeleriacError):
    code = "pool_draining"
    title = "The pool accepts no new work"


class PredictionFailed(CeleriacError):
    code = "prediction_failed"
    title = "The model raised an error"


class WorkFailed(CeleriacError):
    code = "work_failed"
    title = "The work raised an error"


class InvalidOutput(PredictionFailed):
    code = "invalid_output"
    title = "The model output does not match its manifest"


class PredictionOutOfMemory(PredictionFailed):
    code = "out_of_memory"
    title = "The prediction ran out of memory"


class TimeLimitExceeded(PredictionFailed):
    code = "time_limit_exceeded"
    title = "The prediction ran longer than its limit"


class WorkerLost(PredictionFailed):
    code = "worker_lost"
    title = "The worker died while it ran the job"


class PipelineNotFound(CeleriacError):
    code = "pipeline_not_found"
    title = "The pipeline does not exist"


class PipelineUnavailable(CeleriacError):
    code = "pipeline_unavailable"
    title = "The pipeline cannot be run"


class PayloadLost(CeleriacError):
    code = "payload_lost"
    title = "A large input or result is lost"


class RecordUnreadable(CeleriacError):
    code = "record_unreadable"
    title = "A record in Redis cannot be read"


class DeadlineExceeded(CeleriacError):
    code = "deadline_exceeded"
    title = "The deadline passed before the job was run"


class ConcurrencyLimitReached(CeleriacError):
    code = "concurrency_limit_reached"
    title = "The concurrency key has its limit of jobs"


class QueueFull(CeleriacError):
    code = "queue_full"
    title = "The queue is full"

    def __init__(self, detail: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RateLimited(CeleriacError):
    """`usage` says which limit refuses the request, and when it can be sent again."""

    code = "rate_limited"
    title = "The rate limit is reached"

    def __init__(self, detail: str, *, usage: Usage | None = None) -> None:
        super().__init__(detail)
        self.usage = usage


class QuotaExceeded(CeleriacError):
    """`usage` says which quota refuses the request, and how much the owner has."""

    code = "quota_exceeded"
    title = "The quota is exhausted"

    def __init__(self, detail: str, *, usage: Usage, retry_after_s: float = 5.0) -> None:
        super().__init__(detail)
        self.usage = usage
        self.retry_after_s = retry_after_s


class StoreUnavailable(CeleriacError):
    code = "store_unavailable"
    title = "The store does not answer"


class StoreUnfit(StoreUnavailable):
    code = "store_unfit"
    title = "Redis is misconfigured and could lose jobs"


def every_error(root: type[CeleriacError] = CeleriacError) -> dict[str, type[CeleriacError]]:
    """Code -> class, for the whole tree."""
    classes = {root.code: root}
    for child in root.__subclasses__():
        classes |= every_error(child)
    return classes


def from_dict(error: dict[str, Any]) -> CeleriacError:
    """The error that `as_dict` described; an unknown code becomes the base class."""
    kind = every_error().get(str(error.get("code")), CeleriacError)
    return kind(str(error.get("detail", "")), **({"pointer": error["pointer"]} if "pointer" in error else {}))

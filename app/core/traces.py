"""The trace that a request belongs to, as https://www.w3.org/TR/trace-context/ defines it, and the trace context of a job.

A job keeps its context in its record. Its spans are made when it has ended (see `app.core.spans`), so a job costs nothing until then.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Final, Self

REQUEST_ID: Final = re.compile(r"[!-~]{1,128}")
"""The form of an ID that a caller gives to a request."""
_TRACEPARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER: Final = re.compile(
    r"([a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
_MAX_STATE: Final = 512
_MAX_MEMBERS: Final = 32
_NONE: Final = "-"
_ALWAYS: Final = "always"


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which traces are exported.

    Attributes:
        ratio: The part of the traces, between 0 and 1.
        follows_caller: A caller that sends `traceparent` decides with its flag.
        slow_s: Jobs that take at least this long are exported in any case, and so are failed and expired ones.
    """

    ratio: float
    follows_caller: bool
    slow_s: float

    def sampled(self, trace_id: str, flag: bool | None) -> bool:
        """Return whether a trace is exported. `flag` is that of the caller, or None."""
        if flag is not None and self.follows_caller:
            return flag
        # As OpenTelemetry's TraceIdRatioBased, so that other services with the same ratio choose the same traces.
        return int(trace_id[16:], 16) < round(self.ratio * 2**64)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The trace context of one job.

    Attributes:
        trace_id: 32 hex digits.
        span_id: 16 hex digits: the span of the job, which is the parent of what the job causes.
        parent_id: The span that the job is a part of, or an empty text.
        sampled: Whether the trace is exported in any case.
        slow_s: The trace is exported if the job takes at least this long, or fails. None: this server exports nothing.
        received_at: When the request arrived, in seconds since 1970.
        request_id: The ID of the request, or an empty text.
        link: The span that the job follows from, as `TRACE_ID-SPAN_ID`, or an empty text.
        state: The `tracestate` of the caller, or an empty text.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool = False
    slow_s: float | None = None
    received_at: float = 0.0
    request_id: str = ""
    link: str = ""
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The context as other services read it."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"

    @property
    def span(self) -> str:
        """The span of the job, in the form of a link."""
        return f"{self.trace_id}-{self.span_id}"

    def exports(self, *, failed: bool, seconds: float) -> bool:
        """Return whether the trace of a job that took this time, and perhaps failed, is exported."""
        return self.slow_s is not None and (self.sampled or failed or seconds >= self.slow_s)

    def child(self, now: float) -> TraceContext:
        """Return the context of a job that is a part of this one, in the same trace."""
        return replace(self, span_id=new_span_id(), parent_id=self.span_id, received_at=now, link="")

    def linked(self, now: float) -> TraceContext:
        """Return the context of a job that follows from this one, in a trace of its own."""
        return replace(self, trace_id=new_trace_id(), span_id=new_span_id(), parent_id="", received_at=now, link=self.span, state="")

    def encode(self) -> str:
        """Return the form that the record of a job has. The scripts read `slow_s` and `received_at` in it."""
        slow = _NONE if self.slow_s is None else _ALWAYS if self.sampled else f"{self.slow_s:g}"
        parts = (self.parent_id or _NONE, f"{self.received_at:.6f}", self.request_id or _NONE, self.link or _NONE)
        return f"{self.traceparent} {slow} {' '.join(parts)} {self.state}"

    @classmethod
    def decode(cls, text: str) -> Self | None:
        """Decode what `encode` returned, or return None."""
        parts = text.split(" ", 6)
        match = _TRACEPARENT.fullmatch(parts[0])
        if match is None or len(parts) != 7:
            return None
        _, trace_id, span_id, flags, _ = match.groups()
        _, slow, parent, received, request_id, link, state = parts
        return cls(
            trace_id,
            span_id,
            "" if parent == _NONE else parent,
            sampled=bool(int(flags, 16) & 1),
            slow_s=None if slow == _NONE else 0.0 if slow == _ALWAYS else float(slow),
            received_at=float(received),
            request_id="" if request_id == _NONE else request_id,
            link="" if link == _NONE else link,
            state=state,
        )


@dataclass(slots=True)
class RequestContext:
    """What a request says about its trace.

    Attributes:
        request_id: The ID of the request, as the caller gave it or as this server made it.
        traceparent: The parsed `traceparent` of the caller: trace, span and flag; or None.
        state: The `tracestate` of the caller, or an empty text.
        sampling: Which traces this server exports, or None if it exports none.
        received_at: When the request arrived, in seconds since 1970.
        job: The context of the last job that the request has made or read back, or None.
    """

    request_id: str = ""
    traceparent: tuple[str, str, bool] | None = None
    state: str = ""
    sampling: Sampling | None = None
    received_at: float = 0.0
    job: TraceContext | None = None

    def begin(self) -> TraceContext | None:
        """Return the context of a new job, or None if neither the caller nor this server traces it."""
        if self.traceparent is None and self.sampling is None:
            return None
        trace_id, parent_id, flag = self.traceparent or (new_trace_id(), "", None)
        sampled = bool(flag) if self.sampling is None else self.sampling.sampled(trace_id, flag)
        self.job = TraceContext(
            trace_id,
            new_span_id(),
            parent_id,
            sampled=sampled,
            slow_s=None if self.sampling is None else self.sampling.slow_s,
            received_at=self.received_at or time.time(),
            request_id=self.request_id,
            state=self.state,
        )
        return self.job


REQUEST: Final[ContextVar[RequestContext | None]] = ContextVar("request", default=None)
"""The request that this task serves. A background loop has none."""
_FOLLOWED: Final[ContextVar[TraceContext | None]] = ContextVar("followed", default=None)


@contextmanager
def serving(request: RequestContext) -> Iterator[None]:
    """Let the jobs that the block makes belong to a request."""
    token = REQUEST.set(request)
    try:
        yield
    finally:
        REQUEST.reset(token)


def begin() -> TraceContext | None:
    """Return the context of a job that the current request makes, or None if it is not traced."""
    request = REQUEST.get()
    context = None if request is None else request.begin()
    followed = _FOLLOWED.get()
    return context if context is None or followed is None else replace(context, link=followed.span)


def answer_with(context: TraceContext | None) -> None:
    """Let the response of the current request name the trace of a job that exists already."""
    request = REQUEST.get()
    if request is not None:
        request.job = context


def for_worker(contexts: Sequence[TraceContext | None]) -> tuple[str, ...]:
    """Return the encoded trace context of each job of a delivery, for the log of its worker.

    Nothing if this server exports no traces: workers of a release without traces could not read the delivery.
    """
    exports = any(context is not None and context.slow_s is not None for context in contexts)
    return tuple(context.encode() if context else "" for context in contexts) if exports else ()


@contextmanager
def following(context: TraceContext | None) -> Iterator[None]:
    """Link the jobs that the block makes to the span of a job that they repeat."""
    token = _FOLLOWED.set(context)
    try:
        yield
    finally:
        _FOLLOWED.reset(token)


def parse_traceparent(text: str) -> tuple[str, str, bool] | None:
    """Return the trace, the span and the flag in a `traceparent`, or None if it is not valid."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    # Later versions may add parts; this one has none.
    return None if version == "00" and more is not None else (trace_id, span_id, bool(int(flags, 16) & 1))


def parse_tracestate(text: str) -> str:
    """Return a `tracestate` that is valid and not longer than 512 characters, else an empty text."""
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    if len(text) > _MAX_STATE or len(members) > _MAX_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    return ",".join(members) if len({member.partition("=")[0] for member in members}) == len(members) else ""


def new_span_id() -> str:
    """Return the ID of a new span."""
    # Zero is not allowed.
    return f"{random.getrandbits(64) or 1:016x}"


def new_trace_id() -> str:
    """Return the ID of a new trace. It does not have to be secret, and `os.urandom` costs a system call."""
    return f"{random.getrandbits(128) or 1:032x}"

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import traces
from app.core.traces import RequestContext, Sampling, TraceContext, parse_traceparent, parse_tracestate

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLING = Sampling(0.0, follows_caller=True, slow_s=10.0)
HEX = "0123456789abcdef"


def context(**values: object) -> TraceContext:
    return TraceContext(**{"trace_id": TRACE, "span_id": SPAN, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-00", (TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", (TRACE, SPAN, True)),
        (f"01-{TRACE}-{SPAN}-01-what-later-versions-add", (TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f" 00-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        ("", None),
    ],
)
def test_a_traceparent_is_parsed_as_the_specification_says(text: str, parsed: tuple[str, str, bool] | None) -> None:
    assert parse_traceparent(text) == parsed


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
        ("congo=1 , \trojo=2,", "congo=1,rojo=2"),
        ("fw529a3039@dt=FfAAAA", "fw529a3039@dt=FfAAAA"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=b=c", ""),
        ("a", ""),
        (",".join(f"k{number}=1" for number in range(33)), ""),
        (f"a={'b' * 600}", ""),
    ],
)
def test_a_tracestate_that_is_not_valid_or_too_long_is_ignored(text: str, parsed: str) -> None:
    assert parse_tracestate(text) == parsed


@given(
    st.builds(
        TraceContext,
        trace_id=st.text(HEX, min_size=32, max_size=32).filter(lambda text: text.strip("0")),
        span_id=st.text(HEX, min_size=16, max_size=16).filter(lambda text: text.strip("0")),
        parent_id=st.sampled_from(["", SPAN]),
        sampled=st.just(False),
        slow_s=st.sampled_from([None, 0.5, 10.0]),
        received_at=st.sampled_from([0.0, 1796050000.25]),
        request_id=st.sampled_from(["", "deploy-4711"]),
        link=st.sampled_from(["", f"{TRACE}-{SPAN}"]),
        state=st.sampled_from(["", "congo=a b,rojo=2"]),
    )
)
def test_a_record_keeps_the_whole_context(context: TraceContext) -> None:
    assert TraceContext.decode(context.encode()) == context


def test_a_field_of_another_form_is_not_a_context() -> None:
    assert TraceContext.decode("") is None
    assert TraceContext.decode("00-zz always") is None


def test_a_request_of_a_traced_caller_continues_its_trace() -> None:
    job = RequestContext("r-1", (TRACE, SPAN, True), "congo=1", SAMPLING, 5.0).begin()
    assert job is not None
    assert (job.trace_id, job.parent_id, job.sampled, job.state, job.request_id) == (TRACE, SPAN, True, "congo=1", "r-1")


def test_a_request_without_a_trace_gets_one_if_this_server_exports_traces() -> None:
    job = RequestContext("r-1", sampling=SAMPLING).begin()
    assert job is not None
    assert (len(job.trace_id), job.parent_id, job.sampled) == (32, "", False)


def test_a_request_without_a_trace_gets_none_if_nobody_exports_it() -> None:
    assert RequestContext("r-1").begin() is None


def test_a_server_that_exports_nothing_passes_the_decision_of_the_caller_on() -> None:
    job = RequestContext("r-1", (TRACE, SPAN, True)).begin()
    assert job is not None
    assert job.traceparent.endswith("-01")
    assert not job.exports(failed=True, seconds=1000)


@pytest.mark.parametrize(
    ("sampled", "failed", "seconds", "exported"),
    [(False, False, 1, False), (True, False, 1, True), (False, True, 1, True), (False, False, 10, True)],
)
def test_sampled_failed_and_slow_jobs_are_exported(sampled: bool, failed: bool, seconds: float, exported: bool) -> None:
    assert context(sampled=sampled, slow_s=10.0).exports(failed=failed, seconds=seconds) is exported


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_the_ratio_decides_by_the_trace(ratio: float) -> None:
    ids = [f"{TRACE[:16]}{number << 56:016x}" for number in range(256)]
    assert sum(Sampling(ratio, True, 1.0).sampled(id, None) for id in ids) == 256 * ratio


def test_a_sampler_without_a_parent_ignores_the_flag_of_the_caller() -> None:
    assert not Sampling(0.0, follows_caller=False, slow_s=1.0).sampled(TRACE, True)


def test_a_child_stays_in_the_trace_and_what_follows_begins_another() -> None:
    parent = context(sampled=True, slow_s=1.0)
    child, following = parent.child(7.0), parent.linked(7.0)
    assert (child.trace_id, child.parent_id, child.link) == (TRACE, SPAN, "")
    assert (following.trace_id != TRACE, following.parent_id, following.link) == (True, "", f"{TRACE}-{SPAN}")


def test_a_repeated_job_is_linked_to_the_first() -> None:
    with traces.serving(RequestContext("r-1", sampling=SAMPLING)), traces.following(context()):
        job = traces.begin()
    assert job is not None
    assert job.link == f"{TRACE}-{SPAN}"


def test_a_background_loop_traces_nothing() -> None:
    assert traces.begin() is None

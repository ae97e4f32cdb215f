from __future__ import annotations

import inspect

import pytest

from app.core import errors
from app.core.deliveries import Delivery, Outcome, pack_reply, unpack_reply
from app.core.errors import PredictionFailed, every_error
from app.core.jobs import TRANSITIONS, State, created_at, new_id
from app.core.models import ModelRef, RetryPolicy
from app.core.retries import delay
from app.core.tensors import Tensor, decode, encode


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(State)


def test_final_states_lead_nowhere() -> None:
    assert {state for state in State if state.final} == {State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED}


def test_ids_sort_by_the_time_they_tell() -> None:
    first, second = new_id(1_700_000_000.0), new_id(1_700_000_000.001)
    assert first < second
    assert created_at(first) == 1_700_000_000.0


def test_an_id_of_the_callers_contains_no_time() -> None:
    assert created_at("order-4711") is None


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [line.split("──")[-1].split() for line in (errors.__doc__ or "").splitlines() if "──" in line]
    assert {words[0]: words[1] for words in drawn} == {kind.__name__: code for code, kind in every_error().items() if code != "internal"}


def test_an_error_survives_its_record() -> None:
    error = errors.InvalidTensor("too wide", pointer="/inputs/0")
    assert errors.from_dict(error.as_dict()).as_dict() == error.as_dict()
    assert errors.from_dict({"code": "unheard_of", "detail": "x"}).detail == "x"


@pytest.mark.parametrize(("text", "version", "alias"), [("digits", None, None), ("digits@3", "3", None), ("digits@canary", None, "canary")])
def test_a_reference_names_a_version_or_an_alias(text: str, version: str | None, alias: str | None) -> None:
    assert ModelRef.parse(text) == ModelRef("digits", version, alias)
    assert str(ModelRef.parse(text)) == text


@pytest.mark.parametrize("text", ["", "Digits", "../digits", "digits@", "digits@../1", "digits@A", "a b"])
def test_what_is_not_a_reference_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match="Invalid model reference"):
        ModelRef.parse(text)


@pytest.mark.parametrize(("attempt", "expected"), [(1, 0.25), (2, 0.5), (3, 1.0), (9, 5.0), (10, None)])
def test_the_delay_doubles_up_to_its_bound_and_then_ends(attempt: int, expected: float | None) -> None:
    assert delay(RetryPolicy(max_attempts=10, backoff_s=0.5, max_backoff_s=10), attempt, jitter=0.5) == expected


def delivery(rows: tuple[int, ...] = (1, 2)) -> Delivery:
    count = sum(rows)
    inputs = [Tensor("x", "FP64", (count, 1), encode(list(range(count)), "FP64"))]
    return Delivery("d", "m", "1", ("predict",), "api", True, tuple("abc"[: len(rows)]), rows, inputs, 1.5, 2.5)


def test_a_delivery_comes_out_as_it_went_in() -> None:
    found, sent = Delivery.unpack(delivery().pack()), delivery()
    assert [bytes(one.data) for one in found.inputs] == [bytes(one.data) for one in sent.inputs]
    found.inputs = sent.inputs
    assert found == sent


def test_a_part_of_a_delivery_keeps_its_rows_and_where_it_came_from() -> None:
    part = delivery().only([1], "e")
    assert (part.id, part.group, part.jobs, part.rows) == ("e", "d", ("b",), (2,))
    assert decode(part.inputs[0].data, "FP64") == [1.0, 2.0]


def test_a_reply_holds_each_jobs_own_rows_or_error() -> None:
    sent = delivery((1, 1, 2))
    outputs = [[Tensor("predict", "INT64", (size,), encode(list(range(at, at + size)), "INT64"))] for at, size in ((7, 1), (0, 0), (8, 2))]
    outcomes = [Outcome("a", outputs[0]), Outcome("b", error=PredictionFailed("no")), Outcome("c", outputs[2])]
    id, found = unpack_reply(pack_reply(sent, outcomes))
    assert id == "d"
    assert [(one.job, one.error.detail if one.error else decode(one.outputs[0].data, "INT64")) for one in found] == [
        ("a", [7]),
        ("b", "no"),
        ("c", [8, 9]),
    ]


def test_a_reply_of_recorded_jobs_reports_what_their_records_say() -> None:
    sent = delivery((1,))
    output = Tensor("predict", "INT64", (1,), encode([7], "INT64"))
    sent.recorded, sent.jobs, sent.rows = True, ("a",), (1,)
    _, [found] = unpack_reply(pack_reply(sent, [Outcome("a", [output], attempt=2, started_at=10.0)]), 12.0)
    assert (found.attempt, found.started_at, found.finished_at) == (2, 10.0, 12.0)


def test_errors_know_no_http() -> None:
    assert "status" not in inspect.getsource(errors)

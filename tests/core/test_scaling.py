"""How many processes a pool wants: short work adds none, long work gets what the promise needs, batches wait for their deadlines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.scaling import Capacity, DeadlineWork, Demand, ModelDemand, Promise, arrival_rate, wanted

PROMISE = Promise(slo_s=5.0, keep_warm_s=600.0)
ONE_POD = Capacity(ready=2, start_s=10.0, processes_per_pod=2)
NIGHT = Demand(idle_s=3600.0)


def waiting(jobs: int, service_s: float, *, running: int = 0, running_long: int = 0) -> Demand:
    return Demand((ModelDemand(0.0, service_s, jobs),), jobs, running, running_long)


def test_many_short_predictions_add_no_pod() -> None:
    assert wanted(waiting(5000, 0.001, running=2), ONE_POD, PROMISE).pods == 1


@pytest.mark.parametrize("start_s", [0.0, 2.0, 10.0])
def test_long_jobs_get_a_process_each_if_the_promise_needs_it(start_s: float) -> None:
    capacity = replace(ONE_POD, start_s=start_s)
    assert wanted(waiting(6, 20.0, running=2, running_long=2), capacity, PROMISE).pods == 4
    assert wanted(waiting(8, 20.0), Capacity(0, start_s=start_s), PROMISE).processes == 8


def test_one_slow_job_behind_many_fast_ones_counts_by_its_time() -> None:
    models = (ModelDemand(0.0, 0.01, 100), ModelDemand(0.0, 20.0, 1))
    assert wanted(Demand(models, 101, 2, 2), ONE_POD, PROMISE).processes == 4


def test_work_that_arrives_keeps_a_reserve() -> None:
    arriving = Demand((ModelDemand(10.0, 0.8, 0),))
    assert wanted(arriving, ONE_POD, PROMISE).processes == 10
    assert wanted(replace(arriving, waiting=3, running=2), ONE_POD, PROMISE).processes == 10
    # Two processes fall behind while others start, which then catch up.
    assert wanted(replace(arriving, waiting=40, running=2), ONE_POD, PROMISE).processes == 12


def test_a_burst_is_not_taken_for_arrivals_that_continue() -> None:
    burst = Demand((ModelDemand(8 / 60, 20.0, 8),), waiting=8)
    assert wanted(burst, ONE_POD, PROMISE).processes == 8


def test_long_runs_are_not_counted_again_as_arrivals() -> None:
    steady = Demand((ModelDemand(0.5, 20.0, 0),), running=10, running_long=10)
    assert wanted(steady, Capacity(14, start_s=30.0), PROMISE).processes == 14
    assert wanted(steady, Capacity(20, start_s=30.0), PROMISE).processes == 13


def test_pods_that_start_are_not_wanted_twice() -> None:
    behind = Demand((ModelDemand(10.0, 0.8, 40),), 40, 2)
    alone, helped = (wanted(behind, replace(ONE_POD, starting=count), PROMISE).processes for count in (0, 12))
    assert (alone, helped) == (15, 11)


def test_a_batch_of_a_day_adds_no_pod_at_night() -> None:
    day = DeadlineWork(work_s=3600.0, left_s=20 * 3600.0)
    assert wanted(replace(NIGHT, deadlines=(day,), background=4, running=2), ONE_POD, PROMISE).pods == 1


def test_a_batch_adds_pods_when_its_deadline_needs_them() -> None:
    late = DeadlineWork(work_s=3600.0, left_s=900.0)
    assert wanted(replace(NIGHT, deadlines=(late,), running=2), ONE_POD, PROMISE).processes == 5


def test_a_batch_wants_no_more_processes_than_it_has_seconds_of_work() -> None:
    assert wanted(replace(NIGHT, deadlines=(DeadlineWork(3.0, 0.001),)), ONE_POD, PROMISE).processes == 3


def test_work_without_a_promise_has_a_process() -> None:
    assert wanted(replace(NIGHT, background=1), Capacity(0), PROMISE).processes == 1


def test_an_idle_pool_is_kept_warm_and_then_wants_nothing() -> None:
    warm, cold = (wanted(Demand(idle_s=idle_s), ONE_POD, PROMISE) for idle_s in (599.0, 600.0))
    assert (warm.processes, cold.processes) == (1, 0)
    assert warm.reasons == ("The last job came 599 s ago, and a process is kept for 600 s.",)
    assert cold.reasons == ("Nothing runs or waits.",)


def test_a_need_slightly_below_what_there_is_removes_nothing() -> None:
    ten = Capacity(10)
    assert wanted(Demand((ModelDemand(7.0, 1.0, 0),)), ten, PROMISE).processes == 10
    assert wanted(Demand((ModelDemand(6.0, 1.0, 0),)), ten, PROMISE).processes == 8


def test_no_process_is_taken_away_while_jobs_wait_for_too_long() -> None:
    assert wanted(replace(waiting(1, 0.01), oldest_wait_s=6.0), Capacity(10), PROMISE).processes == 10


def test_the_reasons_name_each_part() -> None:
    demand = Demand((ModelDemand(2.0, 0.5, 3),), 3, 2, 1, deadlines=(DeadlineWork(100.0, 1000.0),))
    assert wanted(demand, ONE_POD, PROMISE).reasons == (
        "2 deliveries run, 1 of them longer than 5 s.",
        "2.00 jobs arrive per second and keep 1.00 processes busy.",
        "3 deliveries wait, with 1.5 s of work. To start them in time takes 1.1 processes.",
        "Work with deadlines needs 0.12 processes.",
    )


def test_arrivals_are_counted_within_a_minute() -> None:
    assert arrival_rate(60, 0, 0.0) == 1.0
    assert arrival_rate(60, 45, 30.0) == 1.25


seconds = st.floats(0, 1e4)
models = st.lists(st.builds(ModelDemand, st.floats(0, 1e4), st.floats(0, 1e3), st.floats(0, 1e5)), max_size=4).map(tuple)
counts = st.integers(0, 1000)
demands = st.builds(
    Demand,
    models,
    counts,
    counts,
    counts,
    seconds,
    st.lists(st.builds(DeadlineWork, seconds, seconds), max_size=2).map(tuple),
    counts,
    seconds,
).map(lambda demand: replace(demand, running_long=min(demand.running, demand.running_long)))
capacities = st.builds(Capacity, counts, counts, st.floats(0, 600), st.integers(1, 16))
promises = st.builds(Promise, st.floats(0.1, 3600), seconds)


@given(demands, capacities, promises)
def test_what_runs_keeps_its_processes(demand: Demand, capacity: Capacity, promise: Promise) -> None:
    result = wanted(demand, capacity, promise)
    assert result.processes >= demand.running
    assert result.pods * capacity.processes_per_pod >= result.processes


@given(demands, capacities, promises, counts, st.floats(0, 1e3))
def test_more_waiting_work_never_wants_less(demand: Demand, capacity: Capacity, promise: Promise, jobs: int, service_s: float) -> None:
    more = replace(demand, models=(*demand.models, ModelDemand(0.0, service_s, jobs)), waiting=demand.waiting + jobs)
    assert wanted(more, capacity, promise).processes >= wanted(demand, capacity, promise).processes


@given(capacities, promises, seconds)
def test_an_idle_pool_wants_nothing_after_it_was_kept_warm(capacity: Capacity, promise: Promise, idle_s: float) -> None:
    assert wanted(Demand(idle_s=promise.keep_warm_s + idle_s), capacity, promise).processes == 0


@given(demands, capacities, promises)
def test_a_pool_that_has_what_it_wanted_wants_no_more(demand: Demand, capacity: Capacity, promise: Promise) -> None:
    first = wanted(demand, capacity, promise).processes
    again = wanted(demand, replace(capacity, ready=first, starting=0), promise).processes
    assert again <= max(first, capacity.present)

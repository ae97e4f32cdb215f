"""Both rules in virtual time: a step in load, short bursts and long jobs."""

from __future__ import annotations

import pytest

from tests.scaling.__main__ import compare, needed
from tests.scaling.autoscaler import Autoscaler
from tests.scaling.chart import draw
from tests.scaling.simulation import Outcome, Simulation, by_waiting_time
from tests.scaling.traces import Arrival, Trace, burst, step

SLO_S, START_S, PROCESSES = 5.0, 30.0, 2
STEP = step()


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return dict(compare(STEP, SLO_S, START_S, PROCESSES))


def test_a_tenfold_step_keeps_the_promise_once_pods_have_started(outcomes: dict[str, Outcome]) -> None:
    later = STEP.begin_s + 60 + 3 * START_S
    assert outcomes["waiting time"].p95(later, STEP.end_s) < SLO_S


def test_a_tenfold_step_overshoots_by_less_than_half_and_does_not_flap(outcomes: dict[str, Outcome]) -> None:
    ours = outcomes["waiting time"]
    assert ours.most_pods(STEP.begin_s, STEP.end_s) < 1.5 * needed(STEP, PROCESSES)
    # Up, and down again after the catching up.
    assert ours.flaps(STEP.begin_s, STEP.end_s) <= 1


@pytest.mark.parametrize("name", ["length", "length / 5", "length / 25", "length / 100"])
def test_the_length_of_the_queue_waits_longer_or_costs_more(outcomes: dict[str, Outcome], name: str) -> None:
    ours, other = outcomes["waiting time"], outcomes[name]
    assert other.p95() > ours.p95() or other.pod_seconds > ours.pod_seconds


def test_the_length_of_the_queue_costs_half_as_much_again(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["length"].p95() > outcomes["waiting time"].p95()
    assert outcomes["length"].pod_seconds > 1.5 * outcomes["waiting time"].pod_seconds


def test_short_bursts_add_no_pod() -> None:
    outcome = Simulation(burst(), by_waiting_time(SLO_S), Autoscaler(PROCESSES)).run()
    assert outcome.changes == []
    assert outcome.p95() < SLO_S


def test_eight_long_jobs_get_a_process_each() -> None:
    trace = Trace("long", 120.0, tuple(Arrival(10 + number / 10, 20.0) for number in range(8)))
    outcome = Simulation(trace, by_waiting_time(SLO_S), Autoscaler(PROCESSES, up_window_s=0.0), SLO_S, start_s=2.0).run()
    assert outcome.most_pods() == 4


def test_every_job_runs_once_and_no_pod_is_lost(outcomes: dict[str, Outcome]) -> None:
    for outcome in outcomes.values():
        assert len(outcome.waits) == pytest.approx(len(STEP.arrivals), rel=0.01)
        assert all(wait >= 0 for _, wait in outcome.waits)


def test_the_picture_has_a_line_for_each_rule() -> None:
    picture = draw({"waiting time": [(0, 1), (60, 4)], "length": [(0, 1), (60, 9)]})
    assert picture.count("<path class=") - picture.count('class="grid"') == 2

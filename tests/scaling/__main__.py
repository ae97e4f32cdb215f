"""Compares scaling by waiting time with scaling by queue length, in virtual time: `scripts/scaling-sim --help`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import Final

from app.core.scaling import UTILIZATION
from tests.scaling.autoscaler import Autoscaler
from tests.scaling.chart import draw
from tests.scaling.simulation import Outcome, Rule, Simulation, by_length, by_waiting_time
from tests.scaling.traces import Trace, burst, day, recorded, step

TRACES: Final[dict[str, Callable[[], Trace]]] = {"step": step, "burst": burst, "day": day}


def main() -> None:
    """Print a table, and draw the pods over time."""
    parser = argparse.ArgumentParser(prog="scripts/scaling-sim", description=__doc__)
    parser.add_argument("load", nargs="?", choices=TRACES, default="step", help="the load (default: step)")
    parser.add_argument("--trace", type=Path, help="a recorded load: a line of JSON for each job, with `at` and `service_s` in seconds")
    parser.add_argument("--slo", type=float, default=5.0, help="seconds within which jobs start (default: 5)")
    parser.add_argument("--start", type=float, default=30.0, help="seconds that a pod needs to start (default: 30)")
    parser.add_argument("--processes", type=int, default=2, help="processes of a pod (default: 2)")
    parser.add_argument("--svg", type=Path, help="where to draw the pods over time")
    options = parser.parse_args()
    trace = recorded(options.trace) if options.trace else TRACES[options.load]()
    outcomes = dict(compare(trace, options.slo, options.start, options.processes))
    print(f"{trace.name}: {len(trace.arrivals)} jobs, mean run time {trace.service_s:.3f} s, promise {options.slo:g} s")
    print(f"{'rule':<18}{'p95 wait':>10}{'p95 later':>11}{'pod s':>9}{'most pods':>11}{'overshoot':>11}{'flaps':>7}")
    for name, outcome in outcomes.items():
        later = outcome.p95(trace.begin_s + 60 + 3 * options.start, trace.end_s)
        most = outcome.most_pods(trace.begin_s, trace.end_s)
        share = most / needed(trace, options.processes)
        print(
            f"{name:<18}{outcome.p95():>9.2f}s{later:>10.2f}s{outcome.pod_seconds:>9.0f}{most:>11}{share:>10.2f}x{outcome.flaps(trace.begin_s, trace.end_s):>7}"
        )
    if options.svg:
        options.svg.write_text(draw({name: outcome.pods for name, outcome in outcomes.items() if name in ("waiting time", "length")}))


def compare(trace: Trace, slo_s: float, start_s: float, processes: int) -> Iterator[tuple[str, Outcome]]:
    """Yield what each rule does, with the windows that the chart gives it."""
    rules: dict[str, tuple[Rule, float]] = {"waiting time": (by_waiting_time(slo_s), 0.0)}
    rules |= {f"length / {target}" if target > 1 else "length": (by_length(target), 30.0) for target in (1, 5, 25, 100)}
    for name, (rule, up_window_s) in rules.items():
        yield name, Simulation(trace, rule, Autoscaler(processes, up_window_s=up_window_s), slo_s, start_s).run()


def needed(trace: Trace, processes: int) -> int:
    """Return the pods that the load needs when it is steady."""
    return ceil(trace.busy / UTILIZATION / processes)


if __name__ == "__main__":
    main()

"""`scripts/bench`: starts the systems, measures them in turn, prints and keeps what was found."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from celeriac_cli.errors import CLIError as Refusal
from rich.console import Console

from app.cli.redis_server import find as find_redis
from app.settings import settings
from tests.bench import artefacts, machine, report
from tests.bench.chart import draw
from tests.bench.check import check
from tests.bench.flood import Flooded
from tests.bench.keyed import Keyed
from tests.bench.measures import MEASURES, Measure
from tests.bench.peers import PEERS, Peer
from tests.bench.processes import Trouble
from tests.bench.rows import ROWS, Samples
from tests.bench.systems import Before, Compiled, Inline, InlineTwo, Ours, Plain, Queued, System
from tests.bench.waiting import Empty, Waiting

console = Console(stderr=True, soft_wrap=True)


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="Rows or measures to take, by the beginning of their name; may be repeated.")
    ] = None,
    quick: Annotated[
        bool, typer.Option(help="Two rounds of a second, fewer measures, 100,000 jobs waiting, a flood of 20,000: under 3 minutes.")
    ] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="How often each measure is taken of each system, in turn: 3, or 2.")] = None,
    seconds: Annotated[float, typer.Option(help="How long each load lasts.")] = 5.0,
    waiting: Annotated[int, typer.Option(help="How many jobs the long queue holds; 2 kB of memory and of disk each.")] = 1_000_000,
    peers: Annotated[bool, typer.Option(help="Other servers too, each in a virtual environment of its own.")] = False,
    before: Annotated[Path | None, typer.Option(help="Another checkout of ours, to measure beside this one.")] = None,
    set: Annotated[list[str] | None, typer.Option(help="A setting of ours, as in --set API_PROCESSES=2; may be repeated.")] = None,
    redis_server: Annotated[Path | None, typer.Option(help="The Redis server to start, if not the one that `up` starts.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the JSON is written.")] = None,
    chart: Annotated[Path | None, typer.Option(help="Where the chart is drawn, an SVG.")] = None,
    compare: Annotated[Path | None, typer.Option(help="The JSON of another run: exit 1 if a ratio became worse than in it.")] = None,
    tolerance: Annotated[float, typer.Option(help="How much worse is borne: 0.25 is a quarter.")] = 0.25,
) -> None:
    """Measures Celeriac beside other ways to serve the same models, on this machine, and prints the ratios."""
    Queued.redis_server = redis_server or find_redis(settings().cache)
    Ours.settings = dict(one.split("=", 1) for one in set or ())
    chosen = [one for one in _chosen(only or []) if only or one.quick or not quick]
    kinds: dict[str, type[System]] = {one.name: one for one in (Ours, Compiled, Plain, Inline, InlineTwo)}
    if before is not None:
        Before.checkout = before.resolve()
        kinds[Before.name] = Before
    if peers:
        Peer.cache = settings().cache / "bench"
        kinds |= {one.name: one for one in PEERS}
    Waiting.jobs = 100_000 if quick else waiting
    Flooded.jobs = 20_000 if quick else 50_000
    kinds |= {one.name: one for one in (Empty, Waiting, Keyed, Flooded)}
    seconds = 1.0 if quick else seconds
    rounds = rounds or (2 if quick else 3)
    load = machine.load_average()
    with _started(kinds, {name for one in chosen for name in one.systems}) as (systems, facts):
        samples = _take(chosen, systems, rounds, seconds)
        described = machine.describe(_redis_version(systems))
    terminal = Console()
    report.show(terminal if terminal.is_terminal else Console(width=160), samples, facts)
    found = report.as_json(described, {"rounds": rounds, "seconds": seconds, "load_before": round(load, 2)}, facts, samples)
    if out is not None:
        report.write(out, found)
    if chart is not None:
        chart.write_text(draw(samples))
    lost = report.worse(found, compare, tolerance) if compare is not None else []
    for line in lost:
        console.print(f"[red]worse:[/] {line}")
    raise typer.Exit(1 if lost else 0)


@contextlib.contextmanager
def _started(kinds: dict[str, type[System]], wanted: Iterable[str]) -> Any:
    folder = Path(tempfile.mkdtemp(prefix="celeriac-bench-"))
    systems: dict[str, System] = {}
    try:
        models = artefacts.make(folder / "artefacts")
        facts = {}
        for name, kind in kinds.items():
            if name not in wanted:
                continue
            system = systems[name] = kind(models, folder / name.replace(" ", ""))
            try:
                system.start()
                if not isinstance(system, Empty):
                    with system.at_work():
                        check(system)
            except Trouble as trouble:
                systems.pop(name).stop()
                if not isinstance(system, Peer):
                    raise
                console.print(f"[yellow]{name} is left out:[/] {trouble}", highlight=False)
                continue
            facts[name] = {"started_s": round(system.started_s, 2), "memory_idle": system.usage().memory}
            console.print(f"{name} answers, and rightly, after {system.started_s:.1f} s")
        yield systems, facts
    finally:
        # A second Ctrl-C would leave processes behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with ThreadPoolExecutor() as several:
            list(several.map(System.stop, systems.values()))
        shutil.rmtree(folder, ignore_errors=True)


def _take(chosen: list[Measure], systems: dict[str, System], rounds: int, seconds: float) -> Samples:
    samples: Samples = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for measure in chosen:
        present = [systems[name] for name in measure.systems if name in systems]
        for number in range(rounds):
            # What ran just before matters: in every second round it is another system.
            for system in present if number % 2 == 0 else reversed(present):
                with system.at_work():
                    taken = measure.take(system, seconds)
                for figure, value in taken.items():
                    samples[measure.name][system.name][figure].append(value)
                reported = ", ".join(f"{name} {report.formatted(name, value)}" for name, value in taken.items() if name != "count")
                console.print(f"{measure.name} {number + 1}/{rounds} {system.name}: {reported}", highlight=False)
    return samples


def _chosen(only: list[str]) -> list[Measure]:
    if not only:
        return list(MEASURES.values())
    names = {row.measure for row in ROWS for text in only if row.id.startswith(text)}
    names |= {name for name in MEASURES for text in only if name.startswith(text)}
    if not names:
        raise typer.BadParameter(f"no row begins so; there are {', '.join(row.id for row in ROWS)}")
    return [one for one in MEASURES.values() if one.name in names]


def _redis_version(systems: dict[str, System]) -> str:
    for system in systems.values():
        if isinstance(system, Queued):
            return str(system.redis.info("server")["redis_version"])
    return ""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        typer.run(main)
    except (Trouble, Refusal) as trouble:
        console.print(f"[red]{trouble}[/]", highlight=False)
        sys.exit(2)

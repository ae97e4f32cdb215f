"""`scripts/bench batch`: whole files beside a plain script and a Celery task a row, on this machine, in turn; every answer compared."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from app.cli.redis_server import find as find_redis
from app.settings import settings
from tests.bench import artefacts, machine
from tests.bench.artefacts import Artefacts
from tests.bench.systems import ONE_THREAD, ROOT, Ours, Plain, Queued

_GROUP: Final = 10_000
"""Rows in a row group: enough groups for the script's processes to share, also of the short file."""
_SINGLES_A_S: Final = 10
PROCESSES: Final = os.cpu_count() or 1


def main(
    rounds: Annotated[int, typer.Option(help="How often each measure is taken, in turn.")] = 3,
    lr_rows: Annotated[int, typer.Option(help="Rows for the logistic regression.")] = 1_000_000,
    rf_rows: Annotated[int, typer.Option(help="Rows for the forest.")] = 100_000,
    tasks: Annotated[int, typer.Option(help="Rows that are sent as Celery tasks; the rate is what counts.")] = 2000,
    long_rows: Annotated[int, typer.Option(help="Rows of the file over which memory is watched; 240 bytes of disk each.")] = 10_000_000,
    out: Annotated[Path | None, typer.Option(help="Where the JSON is written.")] = None,
) -> None:
    """Measures batches."""
    Queued.redis_server = find_redis(settings().cache)
    found: dict[str, Any] = {"load_average_before": machine.load_average(), "processes": PROCESSES}
    with tempfile.TemporaryDirectory(prefix="celeriac-bench-") as name:
        folder = Path(name)
        made = artefacts.make(folder / "models")
        data = folder / "tables"
        data.mkdir()
        with _ours(made, folder, data) as ours:
            for model, rows in (("lr", lr_rows), ("rf", rf_rows)):
                _write(data / f"{model}.parquet", made, rows)
                found[model] = _side_by_side(ours, made, data, model, rounds, rows)
            found["lanes"] = _lanes(ours, data, rounds)
            _write(data / "long.parquet", made, long_rows)
            found["memory"] = _memory(ours, data, long_rows)
        found["celery"] = _celery(made, folder, tasks, found["rf"]["ours_rows_per_s"])
    _show(found)
    if out:
        out.write_text(json.dumps(found, indent=2))


@contextmanager
def _ours(made: Artefacts, folder: Path, data: Path) -> Iterator[Ours]:
    Ours.settings = {"FILES": str(folder / "files"), "FILE_ROOTS": str(data), "SPARE_PROCESSES": "1"}
    system = Ours(made, folder / "ours")
    system.start()
    try:
        yield system
    finally:
        system.stop()


def _write(path: Path, made: Artefacts, rows: int) -> None:
    """Thirty features and an id, in row groups; a group at a time."""
    base, chance = np.array(made.rows), np.random.default_rng(0)
    names = ["id", *(f"f{at:02d}" for at in range(base.shape[1]))]
    schema = pa.schema([(name, pa.int64() if name == "id" else pa.float64()) for name in names])
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for first in range(0, rows, _GROUP):
            count = min(_GROUP, rows - first)
            values = base[chance.integers(len(base), size=count)] * chance.uniform(0.9, 1.1, (count, 1))
            writer.write_table(pa.table([pa.array(range(first, first + count)), *values.T.copy()], schema=schema))


def _batch(ours: Ours, model: str, source: str, output: str) -> tuple[dict[str, Any], float]:
    """The batch when it has ended, and the seconds that its caller saw."""
    began = time.perf_counter()
    order = {"model": model, "input": source, "output": output, "keep": ["id"], "columns": [f"f{at:02d}" for at in range(30)]}
    batch = httpx.post(f"{ours.url}/v1/batches", json=order, timeout=600).raise_for_status().json()
    with httpx.stream("GET", f"{ours.url}/v1/batches/{batch['id']}/events", timeout=600) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                batch = json.loads(line[5:])
    took = time.perf_counter() - began
    if batch["status"] != "completed" or batch["request_counts"]["failed"]:
        raise SystemExit(f"the batch went wrong: {json.dumps(batch)}")
    return batch, took


def _script(made: Artefacts, model: str, source: Path, output: Path) -> tuple[float, float]:
    """Seconds in all, and without its start and imports."""
    command = [sys.executable, "-m", "tests.bench.servers.script", made.folder / model / "model.joblib", source, output, str(PROCESSES)]
    began = time.perf_counter()
    done = subprocess.run(list(map(str, command)), cwd=ROOT, env={**os.environ, **ONE_THREAD}, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, float(done.stdout)


def _side_by_side(ours: Ours, made: Artefacts, data: Path, model: str, rounds: int, rows: int) -> dict[str, Any]:
    _batch(ours, model, f"{model}.parquet", "warm.parquet")
    took: dict[str, list[float]] = {"ours": [], "script": [], "script_inside": []}
    for _ in range(rounds):
        took["ours"].append(_batch(ours, model, f"{model}.parquet", f"{model}.ours.parquet")[1])
        whole, inside = _script(made, model, data / f"{model}.parquet", data / f"{model}.script.parquet")
        took["script"].append(whole)
        took["script_inside"].append(inside)
    if pq.read_table(data / f"{model}.ours.parquet") != pq.read_table(data / f"{model}.script.parquet"):
        raise SystemExit(f"the batch and the script answer differently for {model}")
    middle = {name: statistics.median(times) for name, times in took.items()}
    return {
        "rows": rows,
        "seconds": took,
        "ours_rows_per_s": rows / middle["ours"],
        "ratio": middle["ours"] / middle["script"],
        "ratio_inside": middle["ours"] / middle["script_inside"],
    }


def _lanes(ours: Ours, data: Path, rounds: int) -> dict[str, Any]:
    """Single predictions alone and beside a batch, and the batch alone and beside them; in turn, for others use the machine too."""
    idle, beside = list[float](), list[float]()
    took: dict[str, list[float]] = {"alone": [], "beside": []}

    def run(which: str) -> None:
        took[which].append(_batch(ours, "rf", "rf.parquet", "lanes.parquet")[1])

    for _ in range(rounds):
        run("alone")
        idle += _singles(ours, lambda began: time.perf_counter() - began > 5)
        thread = threading.Thread(target=run, args=("beside",))
        thread.start()
        beside += _singles(ours, lambda began, thread=thread: not thread.is_alive())
        thread.join()
    alone_s, beside_s = (statistics.median(times) for times in took.values())
    return {
        "singles_per_s": _SINGLES_A_S,
        "idle_ms": _percentiles(idle),
        "beside_ms": _percentiles(beside),
        "batch_alone_s": took["alone"],
        "batch_beside_s": took["beside"],
        "batch_speed_kept": alone_s / beside_s,
    }


def _singles(ours: Ours, over: Callable[..., bool]) -> list[float]:
    """One caller, this many a second; milliseconds of each."""
    body, found, began = ours.tensors()[0], list[float](), time.perf_counter()
    with httpx.Client(base_url=ours.url, timeout=60) as http:
        while not over(began):
            at = time.perf_counter()
            http.post("/v2/models/lr/infer", content=body, headers={"content-type": "application/json"}).raise_for_status()
            found.append((time.perf_counter() - at) * 1000)
            time.sleep(max(0.0, 1 / _SINGLES_A_S - (time.perf_counter() - at)))
    return found


def _percentiles(found: list[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {"count": len(ordered), "p50": ordered[len(ordered) // 2], "p99": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]}


def _memory(ours: Ours, data: Path, rows: int) -> dict[str, Any]:
    """Of each of the worker's processes: resident before, and the most while the long file is run."""
    ours.stop_worker()
    ours.start_worker()
    pids = ours.processes["worker"].pids()
    idle = {pid: _status(pid, "VmRSS") for pid in pids}
    _, took = _batch(ours, "lr", "long.parquet", "long.out.parquet")
    grown = {pid: _status(pid, "VmHWM") - idle[pid] for pid in pids if Path(f"/proc/{pid}").exists()}
    return {"rows": rows, "seconds": took, "idle_mb": max(idle.values()), "most_above_idle_mb": max(grown.values())}


def _status(pid: int, name: str) -> float:
    """Megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _celery(made: Artefacts, folder: Path, tasks: int, ours_rows_per_s: float) -> dict[str, Any]:
    """One Celery task for each row, as a JSON list, and its result fetched."""
    system = Plain(made, folder / "plain")
    system.start()
    try:
        code = (
            "import json, sys, time; from tests.bench.servers.plain import predict; from celery import group\n"
            "rows = json.load(sys.stdin); began = time.perf_counter()\n"
            "found = [predict.delay('rf', row) for row in rows]\n"
            "[one.get(disable_sync_subtasks=False) for one in found]; print(time.perf_counter() - began)"
        )
        rows = json.dumps([made.rows[at % len(made.rows)] for at in range(tasks)])
        done = subprocess.run(
            [sys.executable, "-c", code], input=rows, cwd=ROOT, env=system.environment(), check=True, capture_output=True, text=True
        )
    finally:
        system.stop()
    rate = tasks / float(done.stdout)
    return {"rows": tasks, "rows_per_s": rate, "ours_times_faster": ours_rows_per_s / rate}


def _show(found: dict[str, Any]) -> None:
    table = Table("measure", "value", "goal", box=None)
    for model, goal in (("lr", 1.3), ("rf", 1.2)):
        one = found[model]
        table.add_row(f"{model}, {one['rows']:,} rows: rows a second", f"{one['ours_rows_per_s']:,.0f}", "")
        table.add_row(f"{model}: time, of the script's", f"{one['ratio']:.2f}", f"{goal}")
        table.add_row(f"{model}: of the script's without its start", f"{one['ratio_inside']:.2f}", "")
    table.add_row("rf: times faster than a Celery task a row", f"{found['celery']['ours_times_faster']:.0f}", "20")
    memory = found["memory"]
    table.add_row(f"memory of a process above idle over {memory['rows']:,} rows, MB", f"{memory['most_above_idle_mb']:.0f}", "200")
    lanes = found["lanes"]
    table.add_row("infer alone, p50 and p99, ms", f"{lanes['idle_ms']['p50']:.1f}, {lanes['idle_ms']['p99']:.1f}", "")
    table.add_row("infer beside a batch", f"{lanes['beside_ms']['p50']:.1f}, {lanes['beside_ms']['p99']:.1f}", "")
    table.add_row("speed of the batch beside them, of its own alone", f"{lanes['batch_speed_kept']:.2f}", "0.8")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)

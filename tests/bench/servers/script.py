"""What one would write instead of a batch: a pool of processes reads row groups, predicts, and the parent writes in order.

`python -m tests.bench.servers.script MODEL.joblib IN.parquet OUT.parquet PROCESSES` prints the seconds after its imports.
"""

from __future__ import annotations

import sys
import time
from multiprocessing import get_context
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

model: Any = None
source = ""


def begin(artefact: str, path: str) -> None:
    global model, source
    model, source = joblib.load(artefact), path


def predict(group: int) -> Any:
    table = pq.ParquetFile(source).read_row_group(group, use_threads=False)
    names = [name for name in table.column_names if name != "id"]
    values = np.column_stack([table[name].to_numpy() for name in names])
    return table["id"].combine_chunks(), model.predict(values)


def run(artefact: str, path: str, output: str, processes: int) -> None:
    groups = pq.ParquetFile(path).num_row_groups
    schema = pa.schema([("id", pa.int64()), ("predict", pa.int64())])
    with get_context("fork").Pool(processes, begin, (artefact, path)) as pool, pq.ParquetWriter(output, schema) as writer:
        for ids, answers in pool.imap(predict, range(groups)):
            writer.write_table(pa.table([ids, pa.array(answers)], schema=schema))


if __name__ == "__main__":
    began = time.perf_counter()
    run(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
    print(time.perf_counter() - began)

"""Rows that the direct lane has answered are captured under the ID of their answer."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.core.capture import Capture
from app.store.files import captures
from tests.direct.conftest import Heartbeat, api_of, infer, publish_compiled, until_direct


async def test_what_the_direct_lane_answers_is_captured(configured: pytest.MonkeyPatch, heartbeat: Heartbeat, tmp_path: Path) -> None:
    publish_compiled(tmp_path / "models", "lr", capture=Capture(1))
    configured.setenv("CELERIAC_MODELS", str(tmp_path / "models"))
    configured.setenv("CELERIAC_FILES", str(tmp_path / "files"))
    async with api_of(heartbeat, ("lr", "1")) as api:
        await until_direct(api)
        answers = [(await infer(api, [[float(at)] * 4, [2.0] * 4])).json() for at in range(2)]
        stored = captures()
    [file] = stored.files("lr")
    rows = pq.read_table(io.BytesIO(stored.read(file))).to_pylist()
    assert [(row["job"], row["row"]) for row in rows] == [(answer["id"], at) for answer in answers for at in range(2)]
    assert rows[2]["inputs.input"] == [1.0] * 4
    assert [row["outputs.predict"] for row in rows] == [label for answer in answers for label in answer["outputs"][0]["data"]]

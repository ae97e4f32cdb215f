"""The kinds of tasks that a worker runs besides predictions. A new kind is a line here."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from app.broker.batches import ASSEMBLY, CHUNK, PLAN
from app.core.handlers import Handlers
from app.core.pipelines import STEP
from app.core.replays import KIND as REPLAY
from app.core.trainings import KIND as TRAINING
from app.trainings import work as training
from app.worker import pipeline_step, replay
from app.worker.batches import assembly, chunk, plan

HANDLERS: Final[Handlers] = MappingProxyType(
    {
        PLAN: plan.run,
        CHUNK: chunk.run,
        ASSEMBLY: assembly.run,
        STEP: pipeline_step.run,
        TRAINING: training.run,
        REPLAY: replay.run,
    }
)
"""The handler of each kind. The start of a worker passes them to its processes."""

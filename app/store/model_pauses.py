"""The models that are paused, and the deliveries that wait until their model is resumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

import orjson
import redis
import redis.asyncio

from app.core.model_pauses import ModelPause
from app.store import audit, keys, scripts
from app.store.reading import decodable, readable

_AT_ONCE: Final = 100


async def write(client: redis.asyncio.Redis, model: str, pause: ModelPause | None, entry: bytes) -> None:
    """Pause a model, or resume it (None), with an entry of the audit log, and notify the API processes.

    A model that is not paused gets no entry when it is resumed.
    """
    stored = ("HDEL", keys.PAUSED_MODELS, model) if pause is None else ("HSET", keys.PAUSED_MODELS, model, orjson.dumps(asdict(pause)))
    await audit.change(client, entry, stored, ("PUBLISH", keys.MODELS_CHANGED, model), must_change=pause is None)


async def read_all(client: redis.asyncio.Redis) -> dict[str, ModelPause]:
    """Return the models that are paused."""
    stored: Any = await client.hgetall(keys.PAUSED_MODELS)
    texts = {name.decode(errors="replace"): text for name, text in stored.items()}
    return {name: _readable(name, text) for name, text in texts.items()}


async def names(client: redis.asyncio.Redis) -> frozenset[str]:
    """Return the names of the models that are paused."""
    stored: Any = await client.hkeys(keys.PAUSED_MODELS)
    return frozenset(decodable(stored))


def read(client: redis.Redis, model: str) -> ModelPause | None:
    """Return the pause of a model, or None if it is not paused."""
    text: Any = client.hget(keys.PAUSED_MODELS, model)
    return None if text is None else _readable(model, text)


async def waiting(client: redis.asyncio.Redis, models: Iterable[str]) -> dict[str, int]:
    """Return for each model how many deliveries wait until it is resumed."""
    listed = [*models]
    async with client.pipeline(transaction=False) as pipe:
        for model in listed:
            pipe.zcard(keys.paused_deliveries(model))
        return dict(zip(listed, map(int, await pipe.execute()), strict=True))


async def place(client: redis.asyncio.Redis, model: str, delivery: str) -> int:
    """Return the place of a delivery among those that wait for its model, 1 for the next. One that has just been submitted is the last."""
    rank: Any = await client.zrank(keys.paused_deliveries(model), delivery)
    return max(1, int(await client.zcard(keys.paused_deliveries(model))) if rank is None else int(rank) + 1)


async def release(client: redis.asyncio.Redis) -> int:
    """Put the deliveries of all models that are not paused into their queues. Return how many."""
    models: Any = await client.smembers(keys.WAITING_MODELS)
    released = 0
    for model in decodable(models):
        moved = 1
        while moved:
            moved = int(await scripts.run_async(client, scripts.Call("resume_deliveries", (), (model, _AT_ONCE))))
            released += moved
    return released


async def sweep(client: redis.asyncio.Redis, keep: int) -> None:
    """Expire jobs that waited past their deadlines, and drop deliveries whose jobs have all ended.

    Args:
        client: A connection to Redis.
        keep: Seconds to keep the record of a job that expires.
    """
    models: Any = await client.smembers(keys.WAITING_MODELS)
    for model in decodable(models):
        members: Any = await client.zrange(keys.paused_deliveries(model), 0, -1)
        ids = decodable(members)
        for first in range(0, len(ids), _AT_ONCE):
            await scripts.run_async(client, scripts.Call("sweep_paused", (), (model, keep, *ids[first : first + _AT_ONCE])))


def _readable(model: str, text: bytes) -> ModelPause:
    """Return a pause. A record that cannot be read still pauses its model: the scripts look only whether it exists."""
    return readable("pause of a model", model, [text], _decode) or ModelPause(None)


def _decode(text: bytes) -> ModelPause:
    stored = orjson.loads(text)
    return ModelPause(float(stored["since"]), *(str(stored[name]) for name in ("key_id", "key_name", "reason")))

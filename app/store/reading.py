"""Reading records that may be broken: one that cannot be decoded is left out of a list, and is refused with a reason if asked for.

A record can be broken by a newer release, another program or a person. It must cost nobody else an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import redis.asyncio
from redis.exceptions import ResponseError

from app import metrics
from app.core.errors import CeleriacError, RecordUnreadable
from app.loops import unavailable

log = logging.getLogger(__name__)
Record = TypeVar("Record")
_MAX_LOGGED: Final = 1000
_logged: dict[tuple[str, str], None] = {}


async def answers(pipe: Any) -> list[Any]:
    """Execute a pipeline. An answer may be the error of its command: give it to `readable` or `required` with the others.

    Raises RedisError if Redis is unavailable.
    """
    results: list[Any] = await pipe.execute(raise_on_error=False)
    for result in results:
        if isinstance(result, Exception) and unavailable(result):
            raise result
    return results


async def fields_of(client: redis.asyncio.Redis, key: str) -> Any:
    """Return the fields of a hash, or the error that says why they cannot be read: for `readable` or `required`."""
    try:
        return await client.hgetall(key)
    except ResponseError as error:
        if unavailable(error):
            raise
        return error


def decodable(members: Iterable[bytes]) -> list[str]:
    """Members of an index as text; one that is not UTF-8 is left out."""
    texts = []
    for member in members:
        with suppress(UnicodeDecodeError):
            texts.append(member.decode())
    return texts


def required(kind: str, id: str, parts: Sequence[Any], decode: Callable[..., Record]) -> Record:
    """Decode a record. Raises RecordUnreadable, or the CeleriacError that `decode` raises."""
    try:
        for part in parts:
            if isinstance(part, Exception):
                raise part
        return decode(*parts)
    except CeleriacError:
        raise
    except Exception as error:
        _note(kind, id, error)
        text = (
            f"The record of {kind} {id!r} in Redis cannot be read ({type(error).__name__}: {str(error)[:200]}). Delete it, or restore it."
        )
        raise RecordUnreadable(text) from error


def readable(kind: str, id: str, parts: Sequence[Any], decode: Callable[..., Record]) -> Record | None:
    """Decode a record, or return None for one that cannot be decoded; that is counted, and logged once."""
    try:
        return required(kind, id, parts, decode)
    except RecordUnreadable:
        return None


def _note(kind: str, id: str, error: Exception) -> None:
    metrics.UNREADABLE.labels(kind).inc()
    if (kind, id) in _logged:
        return
    while len(_logged) >= _MAX_LOGGED:
        del _logged[next(iter(_logged))]
    _logged[kind, id] = None
    log.error("Left out the record of %s %r, which cannot be read: %s: %s", kind, id[:200], type(error).__name__, error)

"""Works on a bucket for a process that forks: `python -m app.registry.bucket.process`.

The library of the store has threads, which a fork does not copy. So the main process of a worker starts this module, sends one JSON object to
standard input, and reads one from standard output.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.core.bucket_url import BucketURL
from app.core.errors import CeleriacError, ModelStoreUnavailable, error_text
from app.core.promotions import Promotion
from app.registry.bucket.repository import BucketRepository


def work(url: str, root: str, max_bytes: int, settle: list[Any], pull: list[str] | None) -> dict[str, Any]:
    """Settle promotions, then download a version, or compare the mirror with the bucket. Returns what the download did."""
    repository = BucketRepository(BucketURL(url), Path(root), max_bytes)
    for name, promotion, reason in settle:
        # The store may be read-only here: Redis has the promotion, and a worker that may write settles it.
        with suppress(CeleriacError):
            repository.settle(name, Promotion.from_dict(promotion), reason)
    if pull is not None:
        name, version = pull
        return asdict(repository.mirror.pull((name, version)))
    repository.refresh()
    return {}


def main() -> None:
    """Answer one request."""
    reply: dict[str, Any]
    try:
        reply = {"value": work(**json.load(sys.stdin))}
    except CeleriacError as error:
        reply = {"error": error.as_dict()}
    except OSError as error:
        reply = {"error": ModelStoreUnavailable(f"The cache of models cannot be used: {error_text(error)}.").as_dict()}
    json.dump(reply, sys.stdout)


if __name__ == "__main__":
    main()

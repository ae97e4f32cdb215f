"""Single objects for a process that forks others, which must not use the library of the store: each request is a process of its own.

`python -m app.buckets.fork_safe` answers one request. Standard input has a line of JSON and the content, and so has standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Final

from app.buckets import forking
from app.buckets.objects import Objects
from app.core import errors
from app.core.bucket_url import BucketURL
from app.core.errors import CeleriacError, from_dict

_LIMIT_S: Final = 90.0


class ForkSafeObjects(Objects):
    """Objects that a process which forks may read, write and delete. Others use the store directly."""

    def read(self, path: str) -> tuple[bytes, str] | None:
        """Return the content of an object and its tag, or None if it does not exist."""
        if not forking.forks():
            return super().read(path)
        reply, content = self._apart("read", path)
        return (content, reply["tag"]) if reply["exists"] else None

    def upload(self, path: str, file: Path | bytes | IO[bytes]) -> None:
        """Write a file, in place of the one that is there."""
        if not forking.forks():
            super().upload(path, file)
        else:
            self._apart("upload", path, file if isinstance(file, bytes) else file.read_bytes() if isinstance(file, Path) else file.read())

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects; those that do not exist are ignored."""
        if not forking.forks():
            super().delete(paths)
            return
        for path in paths:
            self._apart("delete", path)

    def _apart(self, operation: str, path: str, content: bytes = b"") -> tuple[dict[str, Any], bytes]:
        request = {"url": str(self.url), "operation": operation, "path": path, "unavailable": self._unavailable.__name__}
        # The numbers of this process belong to the worker.
        environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
        line = [sys.executable, "-m", __name__]
        given = json.dumps(request).encode() + b"\n" + content
        try:
            ended = subprocess.run(line, input=given, stdout=subprocess.PIPE, env=environment, timeout=_LIMIT_S, check=True)  # noqa: S603
            head, _, answer = ended.stdout.partition(b"\n")
            reply = json.loads(head)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise self._unavailable(f"The process that uses {self.url} failed ({error}).") from None
        if "error" in reply:
            raise from_dict(reply["error"])
        return reply, answer


def main() -> None:
    """Answer one request."""
    request, content = json.loads(sys.stdin.buffer.readline()), sys.stdin.buffer.read()
    objects = Objects(BucketURL(request["url"]), unavailable=getattr(errors, request["unavailable"]))
    reply: dict[str, Any] = {}
    answer = b""
    try:
        if request["operation"] == "upload":
            objects.upload(request["path"], content)
        elif request["operation"] == "delete":
            objects.delete([request["path"]])
        else:
            stored = objects.read(request["path"])
            reply = {"exists": stored is not None}
            if stored is not None:
                answer, reply["tag"] = stored
    except CeleriacError as error:
        reply = {"error": error.as_dict()}
    sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n" + answer)


if __name__ == "__main__":
    main()

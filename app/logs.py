"""What every process writes while it runs: lines for people, or one JSON object a line for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from app.settings import service_links, settings

_COLOUR: Final = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
_RESET: Final = "\x1b[0m"
# Every attribute that a plain record has: whatever else one carries came by `extra=`.
_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
# Libraries with handlers or levels of their own; here they speak through ours, and not of each request or task.
_TAMED: Final = {
    "uvicorn": "INFO", "uvicorn.error": "INFO", "uvicorn.access": "WARNING", "tornado.access": "WARNING",
    "httpx": "WARNING", "httpcore": "WARNING", "celery.worker.strategy": "WARNING", "celery.app.trace": "WARNING",
    # Asks workers before there are any, and says so for each question.
    "flower.inspector": "ERROR",
}  # fmt: skip


def configure(process: str, stream: TextIO | None = None) -> None:
    """Sets up the root logger of this process (`api`, `worker`, …) as the settings `log_*` say. Call it once, first."""
    stream = stream or sys.stderr
    known = settings()
    colour = stream.isatty() if known.log_color is None else known.log_color
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONLines(process) if known.log_format == "json" else TextLines(colour=colour))
    logging.basicConfig(level=known.log_level.upper(), handlers=[handler], force=True)
    for name, level in _TAMED.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(logging.getLevelName(level), logging.getLogger().level))
    logging.captureWarnings(True)
    for variable, value in service_links().items():
        logging.getLogger(__name__).warning("Ignoring %s=%s: Kubernetes set it for a service. It is not a setting.", variable, value)


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave by `extra=`: `log.info("done", extra={"job": id})`."""
    return {name: value for name, value in vars(record).items() if name not in _PLAIN}


class TextLines(logging.Formatter):
    """`12:30:01.250 info    api.jobs  accepted  job=0198…`"""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = record.levelname.lower()
        more = "".join(f"  {name}={value}" for name, value in extras(record).items())
        # uvicorn calls its own log `uvicorn.error`, whatever it says.
        name = record.name.removeprefix("app.").replace("uvicorn.error", "uvicorn")
        line = f"{clock}.{int(record.msecs):03d} {level:<7} {name}  {record.getMessage()}{more}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return f"{_COLOUR[level]}{line}{_RESET}" if self._colour and level in _COLOUR else line


class JSONLines(logging.Formatter):
    """`{"time": RFC 3339, "level", "process", "logger", "message", …extras, "exception"?}`"""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        } | extras(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)

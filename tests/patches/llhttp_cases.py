"""The requests of llhttp's own tests, and whether it reads or refuses each.

The files in `llhttp/` are those of `test/request` in nodejs/llhttp 9.4.2 (MIT), unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FILES: Final = Path(__file__).parent / "llhttp"
_CASE: Final = re.compile(r'<!-- meta=\{ ?"type": ?"request" ?[,}].*?```http\n(.*?)\n?```.*?```log\n(.*?)```', re.DOTALL)
_HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]+)|([0-7]{1,3})|([rntf]))")
_HEAD: Final = re.compile(r"^([^ \r\n]+ [^\r\n]*HTTP/1\.1\r\n)(.*?)(?=\r\n\r\n|\Z)", re.MULTILINE | re.DOTALL)
_ERROR: Final = re.compile(r'error code=\d+ reason="(?!Pause on|Data after `Connection: close`)')


@dataclass(frozen=True)
class LlhttpCase:
    """Requests as bytes, how many of them llhttp finds complete, and whether it refuses the next one or waits for the rest of it."""

    file: str
    name: str
    sent: bytes
    complete: int
    another: bool

    def __str__(self) -> str:
        return f"{self.file} {self.name}"


def _unescaped(match: re.Match[str]) -> str:
    hexadecimal, octal, letter = match.groups()
    if letter:
        return {"r": "\r", "n": "\n", "t": "\t", "f": "\f"}[letter]
    return chr(int(hexadecimal, 16) if hexadecimal else int(octal, 8))


def _with_host(match: re.Match[str]) -> str:
    line, fields = match.groups()
    # llhttp leaves it to its user to require Host.
    return match[0] if re.search(r"^host:", fields, re.MULTILINE | re.IGNORECASE) else f"{line}Host: example.com\r\n{fields}"


def _cases() -> list[LlhttpCase]:
    cases = []
    for path in sorted(_FILES.glob("*.md")):
        page = path.read_text()
        for case in _CASE.finditer(page):
            name = _HEADING.findall(page, 0, case.start())[-1]
            text, log = case.groups()
            # As llhttp's test/md-test.ts reads them.
            text = re.sub(r"\\\n", "", text).replace("\n", "\r\n")
            text = _HEAD.sub(_with_host, _ESCAPE.sub(_unescaped, text))
            complete = log.count("message complete")
            another = log.count("message begin") > complete or bool(_ERROR.search(log))
            cases.append(LlhttpCase(path.stem, name, text.encode(), complete, another))
    return cases


CASES: Final = _cases()

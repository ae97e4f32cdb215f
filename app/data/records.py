"""Where the records of a text file lie: found in one pass, kept as one entry a block.

A record is a line, or several where a quoted value holds line breaks; blank lines are none.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InvalidFile

_BLOCK: Final = 4 << 20
_LONGEST: Final = 16 << 20
_BREAK, _RETURN, _QUOTE = b'\n\r"'

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Index:
    """`entries` holds `[record, line, offset]` of the first record of each block, and of the end. Records and lines count from 0.

    `whole` is False if the pass was stopped early: then the last entry is where it continues.
    """

    entries: Numbers
    whole: bool = True

    @property
    def records(self) -> int:
        return int(self.entries[-1, 0])

    def blocks(self, first: int, count: int) -> range:
        """The blocks that hold the records from `first`."""
        starts = self.entries[:-1, 0]
        low, high = np.searchsorted(starts, [first, first + count - 1], side="right") - 1
        return range(int(low), int(high) + 1)

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, self.entries)

    @classmethod
    def load(cls, path: Path) -> Index:
        return cls(np.load(path, allow_pickle=False))


def ends(block: bytes, *, quoted: bool, inside: bool = False) -> tuple[Numbers, bool]:
    """Where records end in a block that may begin `inside` quotes; and whether it ends there. Blank lines end too."""
    data = np.frombuffer(block, np.uint8)
    breaks = np.flatnonzero(data == _BREAK)
    quotes = np.flatnonzero(data == _QUOTE) if quoted else breaks[:0]
    if len(quotes) or inside:
        breaks = breaks[(np.searchsorted(quotes, breaks) + inside) % 2 == 0]
    return breaks, bool((len(quotes) + inside) % 2)


def filled(data: bytes, starts: Numbers, stops: Numbers) -> NDArray[np.bool_]:
    """Which of the lines between are no blank ones."""
    lengths = stops - starts
    found = lengths > 0
    for at in np.flatnonzero(lengths == 1):
        found[at] = data[starts[at]] != _RETURN
    return found


def split(data: bytes, line: int, *, quoted: bool) -> list[tuple[int, bytes]]:
    """The records of whole lines, each with the line it begins in."""
    at, found = 0, []
    for end in [*ends(data, quoted=quoted)[0].tolist(), len(data)]:
        record = data[at:end].removesuffix(b"\r")
        if record:
            found.append((line, record))
        line += data.count(b"\n", at, end + 1)
        at = end + 1
    return found


def never() -> bool:
    return False


def index(
    file: IO[bytes], start: int, line: int, *, quoted: bool, resume: Index | None = None, enough: Callable[[], bool] = never
) -> Index:
    """One pass from `start`, which is in this `line`. Raises InvalidFile with the line for what is not UTF-8, or is never closed.

    It stops between two records once `enough()` is True, and continues there when the result is given as `resume`.
    """
    entries = [tuple(entry) for entry in resume.entries.tolist()] if resume else [(0, line, start)]
    record, line, offset = entries[-1]
    file.seek(offset)
    decoder = codecs.getincrementaldecoder("utf-8")()
    open_, left = False, b""
    while block := file.read(_BLOCK):
        _check_text(decoder, block, line + left.count(b"\n"))
        # Only what follows the last end was looked at before; the parity of its quotes is that of `open_`.
        found, open_ = ends(block, quoted=quoted, inside=open_)
        if not len(found):
            left += block
        else:
            data = left + block
            stops = found + len(left)
            starts = np.concatenate(([0], stops[:-1] + 1))
            record += int(filled(data, starts, stops).sum())
            end = int(stops[-1]) + 1
            line, offset, left = line + data.count(b"\n", 0, end), offset + end, data[end:]
            entries.append((record, line, offset))
            if enough():
                return Index(np.array(entries, np.int64), whole=False)
        if len(left) > _LONGEST:
            raise InvalidFile(f"line {line + 1}: it is longer than {_LONGEST} bytes{', or a quote is not closed' * open_}")
    _check_text(decoder, b"", line, final=True)
    if open_:
        raise InvalidFile(f"line {line + 1}: a quote that opens here is never closed")
    if left.rstrip(b"\r"):
        entries.append((record + 1, line + 1, offset + len(left)))
    return Index(np.array(entries, np.int64))


def block(file: IO[bytes], found: Index, at: int) -> bytes:
    """The bytes of a block. Raises InvalidFile where the file has changed since it was looked through."""
    begin, end = int(found.entries[at, 2]), int(found.entries[at + 1, 2])
    file.seek(begin)
    data = file.read(end - begin)
    if len(data) != end - begin:
        raise InvalidFile("the file is shorter than when it was looked through: it was changed meanwhile")
    return data


def _check_text(decoder: Any, block: bytes, line: int, *, final: bool = False) -> None:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError as error:
        line += error.object.count(b"\n", 0, error.start)
        raise InvalidFile(f"line {line + 1}: the byte {error.object[error.start]:#x} is not UTF-8: save the file as UTF-8") from None

"""An index of the records of a text file: made in one pass, with one entry per block.

A record is a line, or several if a quoted value holds line breaks; blank lines are not records. Quotes mean the same as in Arrow's CSV
reader: a quote opens a value at its start only, and is an ordinary character inside an unquoted value.
"""

from __future__ import annotations

import codecs
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InvalidFile
from app.core.tables import UTF8

_BLOCK: Final = 4 << 20
_LONGEST: Final = 16 << 20
_BREAK, _RETURN = b"\n\r"
CHANGED: Final = "The file was changed while it was read. Submit the batch again when the file is complete."

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The characters that separate records and values. Without a quote a record is a line; `returns`: a carriage return alone ends a line."""

    delimiter: bytes = b","
    quote: bytes = b""
    returns: bool = False


LINES: Final = Lexicon(returns=True)


@dataclass(frozen=True, slots=True)
class Index:
    """`entries` holds `[record, line, offset, checksum]` of the first record of each block, and of the end. Records and lines count from 0.

    `whole` is False if the pass stopped early: it continues at the last entry.
    """

    entries: Numbers
    whole: bool = True

    @property
    def records(self) -> int:
        """The number of records."""
        return int(self.entries[-1, 0])

    def blocks(self, first: int, count: int) -> range:
        """The blocks that hold the records from `first`."""
        starts = self.entries[:-1, 0]
        low, high = np.searchsorted(starts, [first, first + count - 1], side="right") - 1
        return range(int(low), int(high) + 1)

    def pack(self) -> bytes:
        """Return the index as bytes."""
        file = io.BytesIO()
        np.save(file, self.entries)
        return file.getvalue()

    @classmethod
    def unpack(cls, data: bytes) -> Index:
        """Read an index that `pack` wrote."""
        return cls(np.load(io.BytesIO(data), allow_pickle=False))


def breaks(data: bytes, lexicon: Lexicon, *, final: bool = True) -> tuple[Numbers, Numbers, bool]:
    """Where lines begin and end in data that begins with a record, without their line breaks; and whether a quote is open at the end.

    A line break inside quotes does not end a line. Text after the last line break is not a line. Unless the data are `final`, a carriage
    return at their end does not end a line, because a line feed may follow.
    """
    bytes_ = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(bytes_ == _BREAK)
    if lexicon.returns:
        alone = np.flatnonzero(bytes_ == _RETURN)
        after = np.minimum(alone + 1, len(data) - 1)
        alone = alone[(bytes_[after] != _BREAK) & (final | (alone + 1 < len(data)))]
        if len(alone):
            ends = np.sort(np.concatenate((ends, alone)))
    opened = False
    if lexicon.quote:
        ends, opened = _outside(bytes_, ends, lexicon)
    begins = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1)) if len(ends) else ends
    if not len(data):
        return begins, ends, opened
    # The carriage return of CR LF belongs to the line break.
    paired = (ends > begins) & (bytes_[ends] == _BREAK) & (bytes_[np.maximum(ends - 1, 0)] == _RETURN)
    return begins, ends - paired, opened


def split(data: bytes, line: int, lexicon: Lexicon) -> list[tuple[int, bytes]]:
    """The records of whole lines, each with the line that it begins in."""
    data = _whole(data, lexicon)
    begins, ends, _ = breaks(data, lexicon)
    records, at = [], 0
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        line += lines_in(data[at:begin], lexicon)
        at = begin
        if end > begin:
            records.append((line, data[begin:end]))
    return records


def cut(data: bytes, low: int, high: int, lexicon: Lexicon) -> tuple[bytes, int]:
    """The records from `low` to `high` of a block, and the number of lines before them."""
    data = _whole(data, lexicon)
    begins, ends, _ = breaks(data, lexicon)
    there = np.flatnonzero(ends > begins)
    begin, end = int(begins[there[low]]), int(ends[there[high - 1]])
    return data[begin:end] + b"\n", lines_in(data[:begin], lexicon)


def after_quotes(data: bytes, lexicon: Lexicon) -> dict[int, bytes]:
    """The records in which text follows a closing quote, by their place among those of whole lines. Each with what is before that text."""
    if not lexicon.quote or lexicon.quote not in data:
        return {}
    bytes_ = np.frombuffer(data, np.uint8)
    if _alternate(bytes_, lexicon):
        return {}
    runs, sizes, at_start, inside = _quotes(bytes_, lexicon)
    before = np.concatenate(([False], inside[:-1]))
    odd = sizes % 2 == 1
    # A run of even length at the start of a value opens and closes it.
    texts = (runs + sizes)[np.where(before, odd, ~odd & at_start)]
    texts = texts[texts < len(data)]
    after = bytes_[texts]
    texts = texts[(after != lexicon.delimiter[0]) & (after != _BREAK) & ~(lexicon.returns & (after == _RETURN))]
    if not len(texts):
        return {}
    begins, ends, _ = breaks(_whole(data, lexicon), lexicon)
    begins = begins[ends > begins]
    places, first = np.unique(np.searchsorted(begins, texts, side="right") - 1, return_index=True)
    return {place: data[begins[place] : text] for place, text in zip(places.tolist(), texts[first].tolist(), strict=True)}


def _whole(data: bytes, lexicon: Lexicon) -> bytes:
    """Return the data with a line break at the end."""
    return data if data.endswith(b"\n") or (lexicon.returns and data.endswith(b"\r")) else data + b"\n"


def never() -> bool:
    """Return False: the pass over a file is not stopped early."""
    return False


def index(
    file: IO[bytes],
    start: int,
    line: int,
    lexicon: Lexicon,
    encoding: str = UTF8,
    *,
    resume: Index | None = None,
    enough: Callable[[], bool] = never,
) -> Index:
    """One pass from `start`, which is in this `line`. Raises InvalidFile with the line for text of another encoding, or a quote that is never closed.

    It stops between two records once `enough()` is True, and continues there when the result is given as `resume`.
    """
    entries = resume.entries.tolist() if resume else [[0, line, start, 0]]
    record, line, offset, _ = entries[-1]
    file.seek(offset)
    decoder = codecs.getincrementaldecoder(encoding)()
    left, opened = b"", False
    while block := file.read(_BLOCK):
        _check_text(decoder, block, line + lines_in(left, lexicon), encoding)
        data = left + block
        begins, ends, opened = breaks(data, lexicon, final=False)
        if len(ends):
            end = _after(data, int(ends[-1]))
            record += int((ends > begins).sum())
            entries[-1][3] = zlib.crc32(data[:end])
            line, offset, left = line + lines_in(data[:end], lexicon), offset + end, data[end:]
            entries.append([record, line, offset, 0])
            if enough():
                return Index(np.array(entries, np.int64), whole=False)
        else:
            left = data
        if len(left) > _LONGEST:
            raise InvalidFile(f"Line {line + 1} is longer than {_LONGEST} bytes{', or a quote is not closed' * opened}")
    _check_text(decoder, b"", line, encoding, final=True)
    if left and breaks(left, lexicon)[2]:
        raise InvalidFile(f"Line {line + 1}: a quote that opens here is never closed.")
    if left.strip(b"\r"):
        entries[-1][3] = zlib.crc32(left)
        entries.append([record + 1, line + 1, offset + len(left), 0])
    return Index(np.array(entries, np.int64))


def block(file: IO[bytes], index: Index, at: int) -> bytes:
    """The bytes of a block. Raises InvalidFile if they have changed since the file was looked through."""
    begin, end = int(index.entries[at, 2]), int(index.entries[at + 1, 2])
    file.seek(begin)
    data = file.read(end - begin)
    checked = index.entries.shape[1] > 3  # indexes of earlier versions have no checksums
    if len(data) != end - begin or (checked and zlib.crc32(data) != int(index.entries[at, 3])):
        raise InvalidFile(CHANGED)
    return data


def _outside(data: NDArray[np.uint8], ends: Numbers, lexicon: Lexicon) -> tuple[Numbers, bool]:
    """The line breaks that are not inside quotes, and whether a quote is open at the end of the data."""
    runs, _, _, inside = _quotes(data, lexicon)
    if not len(runs):
        return ends, False
    at = np.searchsorted(runs, ends) - 1
    return ends[(at < 0) | ~inside[np.maximum(at, 0)]], bool(inside[-1])


def _quotes(data: NDArray[np.uint8], lexicon: Lexicon) -> tuple[Numbers, Numbers, NDArray[np.bool_], NDArray[np.bool_]]:
    """The runs of quotes: where each begins, its length, whether it is at the start of a value, and whether a quote is open after it.

    A run of even length changes nothing: pairs inside quotes are quotes of the value, and outside they open and close. A run of odd length
    at the start of a value opens or closes. Any other run of odd length closes, or is outside and has no effect.
    """
    quotes = np.flatnonzero(data == lexicon.quote[0])
    first = np.diff(quotes, prepend=-2) > 1
    runs = quotes[first]
    sizes = np.diff(np.append(np.flatnonzero(first), len(quotes)))
    odd = sizes % 2 == 1
    before = data[np.maximum(runs - 1, 0)]
    at_start = (runs == 0) | (before == lexicon.delimiter[0]) | (before == _BREAK) | (lexicon.returns & (before == _RETURN))
    flips = np.cumsum(odd & at_start)
    closed = odd & ~at_start
    # The number of flips when a quote was last closed for certain.
    since = np.maximum.accumulate(np.where(closed, flips, 0))
    return runs, sizes, at_start, (flips - since) % 2 == 1


def _alternate(data: NDArray[np.uint8], lexicon: Lexicon) -> bool:
    """Return whether quotes open and close values in turn, which is quick to find and true of most files.

    A doubled quote closes and opens. Quotes inside unquoted values, and text after a closing quote, make it False.
    """
    quotes = np.flatnonzero(data == lexicon.quote[0])
    beside = np.zeros(256, bool)
    beside[[lexicon.delimiter[0], lexicon.quote[0], _BREAK, *[_RETURN] * lexicon.returns]] = True
    before, after = np.maximum(quotes[::2] - 1, 0), np.minimum(quotes[1::2] + 1, len(data) - 1)
    return bool(beside[data[before]].all() and beside[data[after]].all())


def _after(data: bytes, end: int) -> int:
    """The offset after the line break at the end of a line."""
    return end + (2 if data[end : end + 2] == b"\r\n" else 1)


def lines_in(data: bytes, lexicon: Lexicon) -> int:
    """Return the number of lines that end in the data."""
    count = data.count(b"\n")
    return count + data.count(b"\r") - data.count(b"\r\n") if lexicon.returns else count


def _check_text(decoder: Any, block: bytes, line: int, encoding: str, *, final: bool = False) -> None:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError as error:
        line += error.object.count(b"\n", 0, error.start)
        name = "UTF-8" if encoding == UTF8 else encoding
        hint = "Save the file as UTF-8, or name its encoding." if encoding == UTF8 else "Name another encoding."
        raise InvalidFile(f"Line {line + 1}: the byte {error.object[error.start]:#x} is not {name}. {hint}") from None

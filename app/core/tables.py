"""The options that say how a file of rows is read. The command line, the API and manifests use the same names."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from app.core.errors import InvalidInput

OPTIONS: Final = ("delimiter", "decimal", "quote", "encoding", "na_values", "header")
UTF8: Final = "utf-8"
MISSING_NUMBERS: Final = (
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "<NA>",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "NAN",
    "NULL",
    "Null",
    "null",
    "None",
    "none",
)
"""What a cell of CSV holds if a number, truth value or timestamp is missing. In a text column only the empty cell is missing."""
MOST_NA_VALUES: Final = 100
LONGEST_NA_VALUE: Final = 100
_ASCII: Final = bytes(range(128))


@dataclass(frozen=True, slots=True)
class TableOptions:
    """Of CSV, where nothing else is said. `delimiter` None: the first line decides. `quote` "": a quote is a character like any other.

    `na_values`: texts that mean a missing value in every column, beside the usual ones of columns that hold no text. `header` True: the
    first line names the columns; False: it is a row, and the columns are `0`, `1`, …; None: it names them, and numbers are refused.
    """

    delimiter: str | None = None
    decimal: str = "."
    quote: str = '"'
    encoding: str = UTF8
    na_values: tuple[str, ...] = ()
    header: bool | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises InvalidInput that names the option. Options that are None are as if they were not given."""
        given = {name: data[name] for name in OPTIONS if data.get(name) is not None}
        for name in ("delimiter", "decimal", "quote"):
            _check_character(name, given.get(name))
        if "encoding" in given:
            given["encoding"] = _encoding(given["encoding"])
        if "na_values" in given:
            given["na_values"] = _na_values(given["na_values"])
        if type(given.get("header", True)) is not bool:
            raise InvalidInput("header must be true or false.", pointer="/header")
        options = cls(**given)
        # A decimal comma in a file that is parted by commas is inside quotes.
        if options.quote and options.quote in (options.delimiter, options.decimal):
            raise InvalidInput("quote must differ from delimiter and decimal.", pointer="/quote")
        if options.delimiter == options.decimal and (options.decimal == "." or not options.quote):
            raise InvalidInput("delimiter and decimal must differ from each other.", pointer="/delimiter")
        return options

    def as_dict(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON types."""
        default = TableOptions()
        changed = {name: getattr(self, name) for name in OPTIONS if getattr(self, name) != getattr(default, name)}
        return changed | ({"na_values": list(self.na_values)} if self.na_values else {})


def _check_character(name: str, value: Any) -> None:
    if value is None or (name == "quote" and value == ""):
        return
    if name == "decimal" and value not in (".", ","):
        raise InvalidInput(f"decimal is {value!r}. Use . or a comma.", pointer="/decimal")
    if not isinstance(value, str) or len(value) != 1 or not value.isascii() or value in "\r\n\0" or value.isalnum():
        raise InvalidInput(f"{name} is {value!r}. Use one ASCII character that is not a letter or a digit.", pointer=f"/{name}")


def _encoding(value: Any) -> str:
    """The codec's name. Only those in which bytes below 128 are ASCII can be cut into lines before they are decoded."""
    wanted = f"Encoding {value!r} is not supported. Use utf-8 or a single-byte encoding such as latin-1 or cp1252."
    try:
        codec = codecs.lookup(value).name if isinstance(value, str) else ""
        if codec in (UTF8, "utf-8-sig", "ascii"):
            return UTF8
        fits = bool(codec) and _ASCII.decode(codec) == _ASCII.decode("ascii")
        alone = fits and all(len(bytes([byte]).decode(codec, "replace")) == 1 for byte in range(128, 256))
        decoder = codecs.getincrementaldecoder(codec)("replace") if alone else None
        # A decoder that waits for a second byte returns nothing for the first.
        fits = decoder is not None and all(decoder.decode(bytes([byte])) for byte in range(128, 256))
    except (LookupError, UnicodeError, AttributeError, ValueError):
        fits = False
    if not fits:
        raise InvalidInput(wanted, pointer="/encoding")
    return codec


def _na_values(value: Any) -> tuple[str, ...]:
    fits = isinstance(value, list | tuple) and len(value) <= MOST_NA_VALUES
    if not fits or not all(isinstance(text, str) and len(text) <= LONGEST_NA_VALUE for text in value):
        raise InvalidInput(
            f"na_values must be a list of at most {MOST_NA_VALUES} texts of at most {LONGEST_NA_VALUE} characters.", pointer="/na_values"
        )
    return tuple(value)

"""Cron expressions: five fields, in a time zone, with days that have 23 or 25 hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final, Self

from app.core.errors import InvalidInput

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final[tuple[tuple[str, int, int, tuple[str, ...]], ...]] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_HORIZON_DAYS: Final = 8 * 366 + 1
"""29 February may be eight years away."""


@dataclass(frozen=True, slots=True)
class Cron:
    """The values of each field. `either`: a day counts if the month's or the week's day is right, as in cron if both are restricted."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    @classmethod
    def parse(cls, text: str, pointer: str = "/cron") -> Self:
        """Raises InvalidInput that names the field which is wrong, also if it would never fire."""
        parts = _MACROS.get(text.strip().lower(), text).split()
        if len(parts) != len(_FIELDS):
            fields = ", ".join(name for name, *_ in _FIELDS)
            expected = f"Expected five fields ({fields}), for example '30 2 * * 1-5', or one of {', '.join(_MACROS)}."
            raise InvalidInput(f"Invalid cron expression {text!r}. {expected}", pointer=pointer)
        minutes, hours, days, months, weekdays = (_field(part, *field, pointer) for part, field in zip(parts, _FIELDS, strict=True))
        either = not parts[2].startswith("*") and not parts[4].startswith("*")
        cron = cls(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)
        # A leap year and the next seven: if no day is right in them, none ever is.
        if not any(cron._on(date(2024, 1, 1) + timedelta(later)) for later in range(_HORIZON_DAYS)):
            raise InvalidInput(f"{text!r} never fires: no month of these has such a day.", pointer=pointer)
        return cron

    def after(self, seconds: float, zone: tzinfo) -> float:
        """The first time after one, both in seconds since 1970.

        A time that a day skips comes an hour later; one that comes twice is the first, unless every hour counts.
        """
        day = datetime.fromtimestamp(seconds, zone).date()
        for days in range(_HORIZON_DAYS + 1):
            on = day + timedelta(days)
            if self._on(on) and (later := [time for time in self._times(on, zone) if time > seconds]):
                return min(later)
        raise AssertionError("a cron that was parsed fires")

    def _on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either else of_month and of_week

    def _times(self, day: date, zone: tzinfo) -> set[float]:
        folds = (0, 1) if len(self.hours) == 24 else (0,)
        return {
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone, fold=fold).timestamp()
            for hour in self.hours
            for minute in self.minutes
            for fold in folds
        }


def _field(text: str, name: str, low: int, high: int, names: tuple[str, ...], pointer: str) -> frozenset[int]:
    values: set[int] = set()
    try:
        for part in text.split(","):
            span, slash, step = part.partition("/")
            first, dash, last = span.partition("-")
            begin = low if span == "*" else _number(first, low, names)
            # 5/15 means from 5 on.
            end = high if span == "*" or (slash and not dash) else _number(last, low, names) if dash else begin
            if not low <= begin <= end <= high or (slash and int(step) < 1):
                raise ValueError
            values.update(range(begin, end + 1, int(step) if slash else 1))
    except ValueError:
        like = f" or {names[0]} to {names[-1]}" if names else ""
        message = (
            f"The {name} of a cron expression is {text!r}. Use * or numbers from {low} to {high}{like}, for example 1,5 or 1-5 or */5."
        )
        raise InvalidInput(message, pointer=pointer) from None
    return frozenset(values)


def _number(text: str, low: int, names: tuple[str, ...]) -> int:
    if text.lower() in names:
        # Sunday is 0, January is 1.
        return names.index(text.lower()) + low
    if not text.isascii() or not text.isdigit():
        raise ValueError(text)
    return int(text)

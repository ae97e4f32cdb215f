"""Every error has a status."""

from __future__ import annotations

from app.api.http.problems import STATUS
from app.core.errors import every_error


def test_every_error_has_a_status() -> None:
    assert set(STATUS) == set(every_error().values())

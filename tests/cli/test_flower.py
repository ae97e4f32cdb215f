"""How Flower is started."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from app.cli.flower import options
from app.settings import Settings


@pytest.mark.parametrize("option", ["--read_only=True", "--persistent=False", "--max_tasks=10000", "--enable_events=False"])
def test_it_only_looks_and_remembers_a_bounded_number_of_tasks(option: str) -> None:
    assert option in options(Settings())


def test_it_asks_for_the_password_that_is_set() -> None:
    assert "--basic_auth=me:secret" in options(Settings(flower_basic_auth=SecretStr("me:secret")))


def test_it_answers_below_the_prefix_that_is_set() -> None:
    assert "--url_prefix=flower" in options(Settings(flower_url_prefix="/flower/"))

"""Keys are spelled in `keys.py` only: scripts receive them."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from app.core.models import POOL
from app.core.pools import RESERVED_POOLS
from app.store import keys

SCRIPTS = {file.name: re.sub(r"--.*", "", file.read_text()) for file in files("app.store").iterdir() if file.name.endswith(".lua")}
USED = sorted({name for text in SCRIPTS.values() for name in re.findall(r"\bkeys\.(\w+)", text)})


@pytest.mark.parametrize("name", USED)
def test_a_key_that_scripts_use_ends_with_its_argument(name: str) -> None:
    key = getattr(keys, name)
    spelled = key if isinstance(key, str) else key("")
    assert re.fullmatch(r"[A-Za-z0-9._:-]+", spelled), "quoted in Lua as it is"
    if not isinstance(key, str):
        assert key("x") == spelled + "x"


def test_no_pool_can_have_the_name_of_a_key() -> None:
    """The list of a pool's queue has the name of the pool."""
    names = {value.removeprefix(keys.PREFIX) for name, value in vars(keys).items() if name.isupper() and str(value).startswith(keys.PREFIX)}
    assert {name for name in names if POOL.fullmatch(name)} == RESERVED_POOLS


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_spells_no_key(name: str) -> None:
    spelled = {key.removeprefix(keys.PREFIX) for key in (getattr(keys, used) for used in USED) if isinstance(key, str)}
    spelled |= {getattr(keys, used)("").removeprefix(keys.PREFIX) for used in USED if callable(getattr(keys, used))}
    joined = set(re.findall(r"\.\.\s*'([^']*)'", SCRIPTS[name])) | set(re.findall(r"'([^']*)'\s*\.\.", SCRIPTS[name]))
    assert not joined & spelled
    assert "prefix" not in SCRIPTS[name].lower()

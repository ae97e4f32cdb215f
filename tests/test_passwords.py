"""What the chart's job puts into the Secret of a new installation."""

from __future__ import annotations

from app.cluster.passwords import KEYS_FILE, generate
from app.core import api_keys
from app.core.api_keys import Scope
from app.services.api_keys_file import parse


def granted(made: dict[str, str], name: str) -> tuple[Scope, ...]:
    """The scopes that the keys file grants to a key of the Secret."""
    id, secret = api_keys.parse(made[name].encode())
    key = parse(made[KEYS_FILE])[id]
    assert not key.check(api_keys.hash_secret(secret), now=0.0)
    return key.granted


def test_the_keys_file_accepts_the_keys_that_are_made_with_it() -> None:
    made = generate([KEYS_FILE])
    assert made.keys() == {"api-key", "metrics-key", KEYS_FILE}
    assert Scope.ADMIN in granted(made, "api-key")
    assert granted(made, "metrics-key") == (Scope.OPERATE,)


def test_the_keys_file_holds_no_secret() -> None:
    made = generate([KEYS_FILE])
    assert not any(made[name][13:] in made[KEYS_FILE] for name in ("api-key", "metrics-key"))


def test_passwords_are_safe_in_a_url_and_never_the_same() -> None:
    made = generate(["redis-password", "flower-basic-auth"])
    assert made["flower-basic-auth"].startswith("celeriac:")
    assert made["redis-password"].replace("-", "").replace("_", "").isalnum()
    assert made["redis-password"] != generate(["redis-password"])["redis-password"]

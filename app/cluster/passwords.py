"""Generates missing passwords in a Secret: the chart runs `python -m app.cluster.passwords NAME KEY...` as a job.

The command is idempotent: it adds missing keys and changes none. A key that ends with `basic-auth` gets `user:password`, `keys.yaml` gets
a keys file, and every other key a password. With the keys file come the API keys whose hashes it has: `api-key`, which may do everything,
and `metrics-key`, which Prometheus sends.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from kubernetes import client

from app.cluster.access import ClusterUnavailable, asking, connect, namespace
from app.core import api_keys
from app.core.api_keys import DEFAULT_OWNER, Scope

KEYS_FILE: Final = "keys.yaml"
_CONFLICT: Final = 409
_API_KEYS: Final[dict[str, dict[str, Any]]] = {
    "api-key": {"name": "admin", "role": "admin"},
    "metrics-key": {"name": "prometheus", "scopes": [Scope.OPERATE]},
}


def generate(keys: Iterable[str]) -> dict[str, str]:
    """Generate the values of the keys of a Secret."""
    made: dict[str, str] = {}
    for key in keys:
        made |= _keys_file() if key == KEYS_FILE else {key: _password(key)}
    return made


def _password(key: str) -> str:
    # Letters, digits, `-` and `_`, because it is used in URLs.
    made = secrets.token_urlsafe(24)
    return f"celeriac:{made}" if key.endswith("basic-auth") else made


def _keys_file() -> dict[str, str]:
    made, entries = {}, []
    for key, fields in _API_KEYS.items():
        made[key], id, hash = api_keys.generate()
        entries.append({"id": id, "owner": DEFAULT_OWNER, "hash": api_keys.hash_text(hash), **fields})
    # JSON is YAML.
    return made | {KEYS_FILE: json.dumps({"keys": entries}, indent=2)}


def ensure(api: client.CoreV1Api, namespace: str, name: str, keys: Sequence[str]) -> list[str]:
    """Create the Secret or add its missing keys, and return the new keys.

    Raises:
        ApiException: The cluster refuses.
    """
    metadata = client.V1ObjectMeta(name=name, labels={"app.kubernetes.io/part-of": "celeriac"})
    made = generate(keys)
    try:
        api.create_namespaced_secret(namespace, client.V1Secret(metadata=metadata, string_data=made))
    except client.ApiException as error:
        if error.status != _CONFLICT:
            raise
    else:
        return list(made)
    there = api.read_namespaced_secret(name, namespace).data or {}
    missing = generate(key for key in keys if key not in there)
    if missing:
        api.patch_namespaced_secret(name, namespace, {"stringData": missing})
    return list(missing)


def main() -> None:
    """Run the command. It exits with 1 and the cluster's reason on failure, and the job retries it."""
    name, *keys = sys.argv[1:]
    try:
        with asking(), connect() as api:
            made = ensure(client.CoreV1Api(api), namespace(), name, keys)
    except ClusterUnavailable as error:
        sys.exit(f"Could not create the Secret {name}: {error}. Check that this service account may write it.")
    print(f"The Secret {name} is complete. New keys: {', '.join(made) or 'none'}.")


if __name__ == "__main__":
    main()

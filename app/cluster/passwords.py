"""Makes the passwords that nobody gave, once: `python -m app.cluster.passwords NAME KEY...` is a job of the chart.

A Secret that is there is completed, never changed: run it as often as you like. A key that ends with `basic-auth` gets a
`user:password`, every other a password.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from typing import Final

from kubernetes import client

from app.cluster.access import ClusterUnavailable, asking, connect, namespace

_CONFLICT: Final = 409


def password(key: str) -> str:
    """Letters, digits, `-` and `_`: it stands in URLs."""
    made = secrets.token_urlsafe(24)
    return f"celeriac:{made}" if key.endswith("basic-auth") else made


def ensure(api: client.CoreV1Api, namespace: str, name: str, keys: Sequence[str]) -> list[str]:
    """The keys that were made now; raises `ApiException` where the cluster refuses."""
    metadata = client.V1ObjectMeta(name=name, labels={"app.kubernetes.io/part-of": "celeriac"})
    try:
        api.create_namespaced_secret(namespace, client.V1Secret(metadata=metadata, string_data={key: password(key) for key in keys}))
    except client.ApiException as error:
        if error.status != _CONFLICT:
            raise
    else:
        return list(keys)
    there = api.read_namespaced_secret(name, namespace).data or {}
    missing = {key: password(key) for key in keys if key not in there}
    if missing:
        api.patch_namespaced_secret(name, namespace, {"stringData": missing})
    return list(missing)


def main() -> None:
    """Exits 1 with the cluster's reason; the job tries again."""
    name, *keys = sys.argv[1:]
    try:
        with asking(), connect() as api:
            made = ensure(client.CoreV1Api(api), namespace(), name, keys)
    except ClusterUnavailable as error:
        sys.exit(f"The Secret {name} could not be made: {error}. May this service account write it?")
    print(f"The Secret {name} is there; made now: {', '.join(made) or 'nothing'}.")


if __name__ == "__main__":
    main()

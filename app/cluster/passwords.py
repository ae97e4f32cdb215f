"""Generates missing passwords in a Secret: the chart runs `python -m app.cluster.passwords NAME KEY...` as a job.

The command is idempotent: it adds missing keys and changes none. A key that ends with `basic-auth` gets `user:password`,
every other key a password.
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
    """Generate a password of letters, digits, `-` and `_`, because it is used in URLs."""
    made = secrets.token_urlsafe(24)
    return f"celeriac:{made}" if key.endswith("basic-auth") else made


def ensure(api: client.CoreV1Api, namespace: str, name: str, keys: Sequence[str]) -> list[str]:
    """Create the Secret or add its missing keys, and return the new keys.

    Raises:
        ApiException: The cluster refuses.
    """
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

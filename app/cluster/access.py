"""This pod's way to the API of its cluster, by the service account that the chart gives it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import urllib3
from kubernetes import client, config

_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
TIMEOUT_S: Final = 5.0


class ClusterUnavailable(Exception):
    """In a sentence, for people."""


def connect() -> client.ApiClient:
    """Raises ClusterUnavailable outside a cluster, and where the pod has no token."""
    known = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=known)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise ClusterUnavailable(f"this process is in no pod with a service account's token: {error}") from None
    known.retries = 0
    return client.ApiClient(known)


def namespace() -> str:
    return _NAMESPACE.read_text().strip()


def pod() -> str:
    """The name of this pod, which is its host name."""
    return socket.gethostname()


@contextmanager
def asking() -> Iterator[None]:
    """Raises ClusterUnavailable with the cluster's own words where it refuses or does not answer."""
    try:
        yield
    except client.ApiException as error:
        raise ClusterUnavailable(f"the cluster answered {error.status} {error.reason}: {_message(error.body)}") from None
    except urllib3.exceptions.HTTPError as error:
        raise ClusterUnavailable(f"the cluster does not answer: {error}") from None


def _message(body: Any) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, TypeError, KeyError):
        return str(body)

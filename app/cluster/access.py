"""Connection of this pod to the API of its cluster, by the service account that the chart creates."""

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
    """The cluster does not answer or refuses. The message is a sentence for humans."""


def connect() -> client.ApiClient:
    """Return a client of the Kubernetes API.

    Raises:
        ClusterUnavailable: The process does not run in a pod with a service account token.
    """
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise ClusterUnavailable(f"this process does not run in a pod with a service account token: {error}") from None
    configuration.retries = 0
    return client.ApiClient(configuration)


def namespace() -> str:
    """Return the namespace of this pod."""
    return _NAMESPACE.read_text().strip()


def pod() -> str:
    """Return the name of this pod, which is its host name."""
    return socket.gethostname()


@contextmanager
def asking() -> Iterator[None]:
    """Turn errors of the client into ClusterUnavailable with the cluster's own message."""
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

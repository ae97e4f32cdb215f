"""Annotates this pod while it is busy, so that Kubernetes removes idle pods first when a pool shrinks.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from kubernetes import client

from app.cluster.access import TIMEOUT_S, ClusterUnavailable, asking, connect, namespace, pod

log = logging.getLogger(__name__)
_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
_INTERVAL_S: Final = 5.0
"""Each check may write to the cluster, so checks are as rare as the decisions of the autoscaler."""


def keep_updated(busy: Callable[[], bool]) -> None:
    """Update the annotation from a daemon thread for as long as the process lives. Failed updates are retried."""
    threading.Thread(target=_run, args=(busy,), name="deletion-cost", daemon=True).start()


def _run(busy: Callable[[], bool]) -> None:
    written: bool | None = None
    while True:
        now = busy()
        if now != written:
            try:
                set_cost(int(now))
                written = now
            except ClusterUnavailable as error:
                log.warning("Could not annotate this pod with its deletion cost: %s", error)
        time.sleep(_INTERVAL_S)


def set_cost(cost: int) -> None:
    """Set the deletion cost of this pod. Kubernetes removes pods with a lower cost first.

    Raises:
        ClusterUnavailable: The cluster refuses or does not answer.
    """
    with asking(), connect() as api:
        change = {"metadata": {"annotations": {_ANNOTATION: str(cost)}}}
        client.CoreV1Api(api).patch_namespaced_pod(pod(), namespace(), change, _request_timeout=TIMEOUT_S)

"""Predictions that are requested and answered by CloudEvents, with messages that their SDK writes and reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.running import Running

PATH = "/v1/models/moody:predict"
DATA = {"instances": [[0, 3], [0, 4]]}
REQUEST = {"id": "reading 7 é", "source": "/sensors/door", "type": "com.example.reading", "datacontenttype": "application/json"}
MODES = pytest.mark.parametrize("write", [to_binary_event, to_structured_event], ids=["binary", "structured"])


def answer(client: httpx.Client, message: HTTPMessage) -> BaseCloudEvent:
    response = client.post(PATH, content=message.body, headers=message.headers)
    assert response.status_code == 200, response.text
    assert response.headers["celeriac-lane"] == "queue"
    return from_http_event(HTTPMessage(dict(response.headers), response.content))


@MODES
def test_an_event_is_answered_with_an_event_in_its_mode(client: httpx.Client, write: Any) -> None:
    message = write(CloudEvent(REQUEST, DATA))
    reply = answer(client, message)
    assert (reply.get_id(), reply.get_type()) == (REQUEST["id"], "org.kubeflow.serving.inference.response")
    assert (reply.get_source(), reply.get_subject()) == ("celeriac", "moody@1")
    assert reply.get_data() == {"predictions": [3.0, 4.0]}
    assert reply.get_time() is not None


@pytest.fixture(scope="module")
def apart(running: Running) -> Iterator[httpx.Client]:
    """An API process with a source of its own, which converts every body and result in another process."""
    beside = dataclasses.replace(running, environment=running.environment | {"CELERIAC_EVENT_SOURCE": "https://ml.example.com/a b"})
    with beside.process("api", offload_above_bytes=1) as (_, url), httpx.Client(base_url=url, timeout=30) as client:
        yield client


@MODES
def test_large_events_are_converted_in_another_process(apart: httpx.Client, write: Any) -> None:
    reply = answer(apart, write(CloudEvent(REQUEST, DATA)))
    assert (reply.get_source(), reply.get_data()) == ("https://ml.example.com/a b", {"predictions": [3.0, 4.0]})


@pytest.mark.parametrize(
    ("headers", "body", "status", "error"),
    [
        ({"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/a"}, DATA, 400, "ce-type is missing."),
        ({"ce-specversion": "0.3", "ce-id": "7", "ce-source": "/a", "ce-type": "b"}, DATA, 400, "ce-specversion is '0.3'."),
        ({"content-type": "application/cloudevents+json"}, DATA, 400, "specversion is missing."),
        ({"content-type": "application/cloudevents+json"}, {"specversion": "1.0", "id": "7", "source": "/a", "type": "b"}, 400, "Field data is missing."),
        ({"content-type": "application/cloudevents+json"}, {"specversion": "1.0", "id": "7", "source": "/a", "type": "b", "data": {}}, 400,
         "Give exactly one of instances and inputs."),
        ({"content-type": "application/cloudevents-batch+json"}, {}, 415, "Unsupported content type"),
    ],
    ids=["no-type", "version", "no-attributes", "no-data", "empty-data", "batch"],
)  # fmt: skip
def test_an_invalid_event_gets_an_error_of_the_protocol(
    client: httpx.Client, headers: dict[str, str], body: dict[str, Any], status: int, error: str
) -> None:
    response = client.post(PATH, json=body, headers=headers)
    assert (response.status_code, response.json()["error"][: len(error)]) == (status, error)
    assert "ce-id" not in response.headers

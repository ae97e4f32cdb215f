"""/v1/embeddings, by OpenAI's own SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.code import SENTENCES, publish
from tests.running import Running

TEXTS = ["a quick fox", "über"]
VECTORS = [[11.0, 3.0, 1.0], [4.0, 1.0, 0.25]]


@pytest.fixture(scope="module")
def sdk(running: Running) -> Iterator[openai.OpenAI]:
    publish(running, "sentences", SENTENCES)
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_each_text_gets_its_vector_in_both_formats(sdk: openai.OpenAI) -> None:
    # Without a format, the SDK requests base64 and decodes it.
    for options in ({}, {"encoding_format": "float"}, {"dimensions": 3, "user": "ada"}):
        response = sdk.embeddings.create(model="sentences@production", input=TEXTS, **options)
        assert [(item.index, item.embedding) for item in response.data] == [*enumerate(VECTORS)]
        assert (response.model, response.usage.total_tokens) == ("sentences@1", 0)
    assert sdk.embeddings.create(model="sentences", input=TEXTS[0]).data[0].embedding == VECTORS[0]


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ({"model": "wine"}, openai.UnprocessableEntityError, "'wine' is not an embedding model."),
        ({"model": "nobody"}, openai.NotFoundError, "Model 'nobody' does not exist."),
        ({"dimensions": 2}, openai.UnprocessableEntityError, "'sentences' has embeddings of 3 dimensions, and cannot shorten them."),
        ({"input": []}, openai.UnprocessableEntityError, "input must be a text or a list of 1 to 2048 texts."),
        ({"input": [[1, 2]]}, openai.UnprocessableEntityError, "input must hold texts."),
        ({"encoding_format": "hex"}, openai.UnprocessableEntityError, "Field encoding_format must be 'float' or 'base64', not 'hex'."),
    ],
)
def test_the_sdk_shows_what_is_wrong(sdk: openai.OpenAI, body: dict[str, Any], kind: type[openai.APIStatusError], message: str) -> None:
    with pytest.raises(kind) as caught:
        sdk.embeddings.create(**{"model": "sentences", "input": TEXTS, **body})
    assert message in caught.value.message


def test_the_response_is_as_documented(sdk: openai.OpenAI, client: httpx.Client) -> None:
    for encoding in ("float", "base64"):
        response = client.post("/v1/embeddings", json={"model": "sentences", "input": "hello", "encoding_format": encoding})
        assert response.headers["celeriac-lane"] == "queue"

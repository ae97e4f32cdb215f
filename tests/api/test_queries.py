"""Query parameters are texts, and are read as strictly as bodies."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from app.api.schemas.dead_letters import DeadLettersQuery, DiscardQuery
from app.api.schemas.jobs import JobsQuery
from app.api.schemas.queries import Page, RequestQuery
from app.core.errors import InvalidInput
from app.core.jobs import State


def request(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


def test_parameters_have_defaults() -> None:
    page = Page.of(request(""))
    assert (page.limit, page.cursor) == (20, None)


def test_texts_become_values() -> None:
    query = JobsQuery.of(request("limit=100&state=failed&model=wine"))
    assert (query.limit, query.state, query.model) == (100, State.FAILED, "wine")
    letters = DiscardQuery.of(request("all=true&after=1970-01-01T01:00:10%2B01:00"))
    assert (letters.all, letters.filters.after, letters.filters.before) == (True, 10, None)


@pytest.mark.parametrize(
    ("kind", "query", "pointer", "detail"),
    [
        (Page, "limit=0", "/limit", "Parameter limit must be at least 1, not 0."),
        (Page, "limit=101", "/limit", "Parameter limit must be at most 100, not 101."),
        (Page, "limit=1_0", "/limit", "Parameter limit must be an integer, not '1_0'."),
        (Page, "limit=%D9%A3", "/limit", "must be an integer"),
        (Page, "limit=%C2%B2", "/limit", "must be an integer"),
        (Page, "limit=", "/limit", "must be an integer"),
        (Page, "limit=" + "9" * 5000, "/limit", "must be an integer"),
        (Page, "cursor=nan_1", "/cursor", "Invalid cursor 'nan_1'. Use the `next` of the previous page."),
        (Page, "color=red", "/color", "Unknown field 'color'. Supported fields: limit, cursor."),
        (JobsQuery, "state=lost", "/state", "must be 'queued', 'running'"),
        (JobsQuery, "cursor=!", "/cursor", "Invalid cursor '!'. Use the `next` of the previous page."),
        (DeadLettersQuery, "after=soon", "/after", "Invalid after 'soon'. Use a time with a zone"),
        (DeadLettersQuery, "before=2026-01-01T00:00:00", "/before", "Use a time with a zone"),
        (DiscardQuery, "all=yes", "/all", "must be true or false"),
    ],
)
def test_an_invalid_parameter_is_refused(kind: type[RequestQuery], query: str, pointer: str, detail: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        kind.of(request(query))
    assert refused.value.pointer == pointer
    assert detail in refused.value.detail

"""How the bodies of requests are validated, and how their errors read."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from typing import Annotated, Any

import pytest
from pydantic import ConfigDict, Field

from app.core.errors import InvalidInput, UnknownField
from app.services import requests
from app.services.requests.body import Integer, Pattern, RequestBody
from app.services.requests.webhooks import Change, JobWebhook


class Meal(RequestBody):
    """Fields of every kind."""

    model_config = ConfigDict(title="Meal")

    dish: str = Field(max_length=10, examples=["soup"])
    guests: Integer = Field(2, ge=1, le=20)
    price: float | None = Field(None, gt=0)
    vegan: bool = False
    prices: dict[str, list[int]] = Field({})
    webhook: JobWebhook | None = None
    course: Annotated[str, Pattern(re.compile("[a-z]+"), "Use lowercase letters, for example dessert.")] = "main"


def bodies() -> list[type[RequestBody]]:
    """Those of the API."""
    modules = [import_module(f"{requests.__name__}.{module.name}") for module in pkgutil.iter_modules(requests.__path__)]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return sorted((kind for kind in classes if issubclass(kind, RequestBody)), key=lambda kind: kind.__name__)


def test_null_for_an_optional_field_means_that_it_is_absent() -> None:
    meal = Meal.parse({"dish": "soup", "guests": None, "price": None, "vegan": None, "webhook": None})
    assert meal == Meal.parse({"dish": "soup"})
    assert (meal.guests, meal.price, meal.vegan) == (2, None, False)


def test_a_whole_number_may_have_a_decimal_point() -> None:
    guests = Meal.parse({"dish": "soup", "guests": 3.0}).guests
    assert (guests, type(guests)) == (3, int)


def test_optional_fields_are_documented_as_nullable_and_required_ones_are_not() -> None:
    fields = Meal.model_json_schema()["properties"]
    assert "null" not in str(fields["dish"])
    assert fields["guests"] == {
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": 20}, {"type": "null"}],
        "default": 2,
        "title": "Guests",
    }
    assert str(fields["price"]).count("null") == 1


def test_the_pattern_of_a_field_is_documented() -> None:
    assert Meal.model_json_schema()["properties"]["course"]["anyOf"][0] == {"type": "string", "pattern": "^([a-z]+)$"}


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({}, "/dish", 'Field dish is missing. For example: {"dish": "soup"}.'),
        ({"dish": None}, "/dish", 'Field dish is missing. For example: {"dish": "soup"}.'),
        ({"dish": 7}, "/dish", "Field dish must be a string, not 7."),
        ({"dish": "x" * 11}, "/dish", "Field dish must have at most 10 characters, not 'xxxxxxxxxxx'."),
        ({"dish": "soup", "guests": 21}, "/guests", "Field guests must be at most 20, not 21."),
        ({"dish": "soup", "guests": True}, "/guests", "Field guests must be an integer, not True."),
        ({"dish": "soup", "guests": 2.5}, "/guests", "Field guests must be an integer, not 2.5."),
        ({"dish": "soup", "guests": "5"}, "/guests", "Field guests must be an integer, not '5'."),
        ({"dish": "soup", "price": True}, "/price", "Field price must be a number, not True."),
        ({"dish": "soup", "vegan": 1}, "/vegan", "Field vegan must be true or false, not 1."),
        ({"dish": "soup", "prices": [1]}, "/prices", "Field prices must be an object, not [1]."),
        ({"dish": "soup", "prices": {"a/~": [1, "2"]}}, "/prices/a~1~0/1", "Field prices.a/~.1 must be an integer, not '2'."),
        ({"dish": "soup", "course": "1st"}, "/course", "Invalid course '1st'. Use lowercase letters, for example dessert."),
        ({"dish": "soup", "course": 1}, "/course", "Field course must be a string, not 1."),
        ({"dish": "soup", "webhook": 7}, "/webhook", "Field webhook must be an object, not 7."),
        (
            {"dish": "soup", "webhook": {}},
            "/webhook/url",
            'Field webhook.url is missing. For example: {"url": "https://example.com/hook"}.',
        ),
        (
            {"dish": "soup", "webhook": {"url": "https://x.org", "events": ["end"] * 9}},
            "/webhook/events/0",
            "Field webhook.events.0 must be 'start' or 'completed', not 'end'.",
        ),
        (
            {"dish": "soup", "webhook": {"url": "https://x.org", "events": []}},
            "/webhook/events",
            "Field webhook.events must have at least 1 item, not [].",
        ),
    ],
)
def test_an_error_names_the_field_the_rule_and_the_value(body: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Meal.parse(body)
    assert (refused.value.code, refused.value.pointer, refused.value.detail) == ("invalid_input", pointer, detail)


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        (
            {"dsh/~": 1, "guests": 99},
            "/dsh~1~0",
            "Unknown field 'dsh/~'. Supported fields: dish, guests, price, vegan, prices, webhook, course.",
        ),
        ({"dish": 7, "webhook": {"uri": 1}}, "/dish", "Field dish must be a string, not 7."),
        ({"dish": "soup", "webhook": {"{field}": 1}}, "/webhook/{field}", "Unknown field '{field}'. Supported fields: url, events."),
    ],
)
def test_the_first_error_is_reported_and_an_unknown_field_before_its_neighbors(body: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Meal.parse(body)
    assert (refused.value.pointer, refused.value.detail) == (pointer, detail)
    assert isinstance(refused.value, UnknownField) is detail.startswith("Unknown")


def test_an_error_does_not_repeat_a_large_value() -> None:
    with pytest.raises(InvalidInput) as refused:
        Meal.parse({"dish": "x" * 1_000_000})
    assert len(refused.value.detail) < 300


def test_a_change_knows_what_it_leaves_unchanged() -> None:
    change = Change.parse({"description": "", "models": ["wine@2"]})
    assert (change.description, change.models, change.events) == ("", ["wine@2"], None)


@pytest.mark.parametrize("kind", bodies(), ids=lambda kind: kind.__name__)
def test_every_required_field_has_an_example_for_its_error(kind: type[RequestBody]) -> None:
    for name, field in kind.model_fields.items():
        assert field.examples or not field.is_required(), name

"""A pipeline says what it is, or in which line it is wrong."""

from __future__ import annotations

import pytest

from app.core.errors import InvalidInput, PipelineUnavailable
from app.core.mermaid import mermaid
from app.core.pipelines import Condition, Pipeline, fill
from app.registry.pipelines import parse

GOOD = """\
description: From an image to a digit.
inputs: [image]
steps:
  vote:
    run: vote
    inputs: {answers: [$forest, $linear]}
  forest: {model: digits@production, inputs: [$features]}
  linear: {model: digits-linear, inputs: [$features], when: {value: $features.0, above: 3}}
  features: {run: features, inputs: {image: $inputs.image}, timeout_s: 5, retries: {max_attempts: 2}}
output: {digit: $vote, says: $$vote}
"""


def test_steps_come_after_what_they_wait_for() -> None:
    pipeline, _ = parse("digits", GOOD, "digits.yaml")
    assert next(iter(pipeline.steps)) == "features"
    assert list(pipeline.steps)[-1] == "vote"
    assert pipeline.steps["vote"].sources == {"forest", "linear"}
    assert pipeline.steps["features"].retries.max_attempts == 2


def test_it_can_be_drawn() -> None:
    drawing = mermaid(parse("digits", GOOD, "digits.yaml")[0])
    assert '  forest[["forest<br/><i>digits@production</i>"]]' in drawing
    assert '  features -. "$features.0 above 3" .-> linear' in drawing
    assert "  inputs_image --> features" in drawing
    assert "  vote --> output" in drawing


def test_values_take_the_place_of_references() -> None:
    values = {"inputs": {"image": "x"}, "a": [{"b": 1}], "skipped": None}
    template = {"whole": "$a", "part": "$a.0.b", "listed": ["$inputs.image", 2], "dollar": "$$a", "none": "$skipped.part", "text": "a $b"}
    filled = {"whole": [{"b": 1}], "part": 1, "listed": ["x", 2], "dollar": "$a", "none": None, "text": "a $b"}
    assert fill(template, values.__getitem__) == filled
    with pytest.raises(InvalidInput, match=r"\$a\.0 has no part 'c': it has b"):
        fill("$a.0.c", values.__getitem__)


@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        (Condition("$a"), [], False),
        (Condition("$a"), "yes", True),
        (Condition("$a", "above", 3), 3, False),
        (Condition("$a", "at_least", 3), 3, True),
        (Condition("$a", "is", "x"), "x", True),
        (Condition("$a", "is_not", "x"), None, True),
    ],
)
def test_a_condition_holds_or_not(condition: Condition, value: object, holds: bool) -> None:
    assert condition.holds(lambda name: value) is holds


def test_what_cannot_be_compared_is_reported() -> None:
    with pytest.raises(InvalidInput, match=r"\$a is 'x', which cannot be compared with 3"):
        Condition("$a", "above", 3).holds(lambda name: "x")


@pytest.mark.parametrize(
    ("wrong", "right", "line", "reason"),
    [
        ("run: vote", "run: vote\n    model: digits", 4, "either run \\(a function\\) or model"),
        ("$forest, $linear", "$forest, $lineal", 6, "\\$lineal is not a step. Steps: vote, forest"),
        ("$inputs.image}", "$inputs.picture}", 9, "\\$inputs.picture is not an input. Inputs: image"),
        ("$inputs.image}", "$vote}", 4, "The steps wait for each other: "),
        ("$inputs.image}", "$item}", 9, "\\$item exists only in a step with each"),
        ("above: 3", "over: 3", 8, "Unknown field 'over'"),
        ("above: 3", "above: 3, below: 9", 8, "must compare value by one of"),
        ("timeout_s: 5", "timeout_s: soon", 9, "timeout_s is 'soon'. Give seconds"),
        ("max_attempts: 2", "max_attempts: 0", 9, "max_attempts is 0. Give a whole number"),
        ("max_attempts: 2", "tries: 2", 9, "Unknown field 'tries'"),
        ("  forest:", "  Forest:", 7, "'Forest' is not a valid step name"),
        ("  forest:", "  vote:", 7, "The key 'vote' is repeated"),
        ("digits@production", "Digits", 7, "Invalid model reference 'Digits'"),
        ("{image: $inputs.image}", "$inputs.image", 9, "arguments by name"),
        ("timeout_s: 5", "each: no", 9, "each must be a string"),
        ("timeout_s: 5", "each: all", 9, "a reference to a list"),
        ("inputs: [image]", "inputs: image", 2, "inputs must be a list of names"),
        ("output: {digit: $vote", "result: {digit: $vote", 10, "Unknown field 'result'"),
        ("description: From", "description: [From", 2, ""),
        ("timeout_s: 5", "timeout_s: .inf", 9, ".inf is not a finite number"),
        ("timeout_s: 5", "timeout_s: 99999999999999999999", 9, "99999999999999999999 is not a finite number of at most 64 bits"),
        ("$inputs.image}", "2024-01-01}", 9, "JSON has no timestamp. Put text in quotes"),
        ("$inputs.image}", "!!set {a, b}}", 9, "JSON has no set"),
        ("$inputs.image}", "{1: a}}", 9, "'1' is not a string. Put it in quotes"),
        ("  forest:", "  yes:", 7, "'yes' is not a string. Put it in quotes"),
        ("timeout_s: 5", "pool: a b", 9, "'a b' is not a valid pool name"),
        ("timeout_s: 5", "pool: events", 9, "A pool cannot be named 'events'"),
    ],
)
def test_what_is_wrong_is_reported_with_its_line(wrong: str, right: str, line: int, reason: str) -> None:
    assert wrong in GOOD
    with pytest.raises(PipelineUnavailable, match=f"^digits.yaml, line {line}: .*{reason}"):
        parse("digits", GOOD.replace(wrong, right, 1), "digits.yaml")


@pytest.mark.parametrize("text", ["", "[]", "word", "steps: {}\noutput: 1"])
def test_what_is_not_a_pipeline_is_reported(text: str) -> None:
    with pytest.raises(PipelineUnavailable, match=r"digits\.yaml, line 1: "):
        parse("digits", text, "digits.yaml")


DEEP = "steps:\n  a: {run: x, inputs: {v: " + "[" * 3000 + "]" * 3000 + "}}\noutput: $a\n"
ITSELF = "steps:\n  a: {run: x, inputs: &all {v: *all}}\noutput: $a\n"
BOMB = (
    "steps:\n  a: {run: x, inputs: {v: &v0 [x, x], " + "".join(f"v{at}: &v{at} [*v{at - 1}, *v{at - 1}], " for at in range(1, 40)) + "}}\n"
)


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        pytest.param(DEEP, "nested too deeply or contain themselves", marks=pytest.mark.slow),
        (ITSELF, "or contain themselves"),
        (BOMB, "line 2: The file holds more than 20000 values"),
    ],
)
def test_a_file_that_would_not_end_is_refused(text: str, reported: str) -> None:
    with pytest.raises(PipelineUnavailable, match=reported):
        parse("endless", text, "endless.yaml")


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), 0, True])
def test_a_pipeline_made_in_python_has_finite_limits_too(limit: float) -> None:
    with pytest.raises(InvalidInput, match="timeout_s is"):
        Pipeline.from_dict("p", {"steps": {"a": {"run": "x", "timeout_s": limit}}, "output": "$a"})
    with pytest.raises(InvalidInput, match="backoff_s is"):
        Pipeline.from_dict("p", {"steps": {"a": {"run": "x", "retries": {"backoff_s": limit or -1}}}, "output": "$a"})

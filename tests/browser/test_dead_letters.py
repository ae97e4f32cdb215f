"""Dead letters: the filters, one letter with its input, and the actions on one and on all that match."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Console

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def no_others(console: Console) -> None:
    """Each test finds its own dead letters only."""
    console.api.delete("/v1/dead-letters", params={"all": "true"})


def letters(console: Console) -> Locator:
    """The rows of the list."""
    return console.page.get_by_role("region", name="Dead letters").locator("tbody tr")


def test_an_input_can_be_corrected_and_replayed(console: Console) -> None:
    id = console.submit([1, 5])["id"]
    console.open(f"dead-letters/{id}")
    expect(console.page.get_by_role("region", name="Traceback")).to_contain_text("not in the mood")
    expect(console.page.get_by_role("region", name="Attempts", exact=True).first).to_contain_text("/")
    console.press("Edit")
    console.page.get_by_label("Input of the replay, as JSON").fill("[[0, 9007199254740993]]")
    console.press("Replay")
    expect(console.page.get_by_role("region", name="Facts")).to_contain_text("succeeded")
    assert console.api.get("/v1/dead-letters").json()["items"] == []


def test_an_input_that_is_not_json_is_not_sent(console: Console) -> None:
    console.open(f"dead-letters/{console.submit([1, 5])['id']}")
    console.press("Edit")
    console.page.get_by_label("Input of the replay, as JSON").fill("[[0,")
    console.press("Replay")
    expect(console.page.get_by_role("status").last).to_contain_text("not JSON")


def test_a_letter_can_be_discarded(console: Console) -> None:
    id = console.submit([1, 5])["id"]
    console.open(f"dead-letters/{id}")
    console.press("Discard", confirm=True)
    expect(console.page.get_by_text("No dead letter matches.")).to_be_visible()


def test_all_that_match_are_replayed(console: Console) -> None:
    for _ in range(2):
        console.submit([1, 0])
    console.open("dead-letters?error=prediction_failed&model=moody")
    expect(letters(console)).to_have_count(2)
    console.page.get_by_role("button", name="Replay all that match").first.click()
    expect(console.page.get_by_role("dialog")).to_contain_text("2 dead letters match: model moody and error prediction_failed.")
    console.check_accessibility()
    console.page.get_by_role("dialog").get_by_role("button", name="Replay all that match").click()
    expect(console.page.get_by_role("main")).to_contain_text("2 of 2 dead letters replayed")
    # The page still shows it when it is opened again.
    console.page.reload()
    expect(console.page.get_by_role("main")).to_contain_text("2 of 2 dead letters replayed")
    console.check_accessibility()


def test_dead_letters_with_the_same_cause_are_one_group_that_can_be_replayed_to_another_version(console: Console) -> None:
    for value in (5, 5, 6):
        console.submit([1, value])
    console.open("dead-letters")
    causes = console.page.get_by_role("region", name="Causes")
    expect(causes.get_by_role("row").nth(1)).to_contain_text("3")
    causes.get_by_role("link").first.click()
    expect(letters(console)).to_have_count(3)
    console.page.get_by_role("button", name="Replay all that match").first.click()
    console.page.get_by_label("Replay with another model or version").fill("moody@99")
    console.page.get_by_role("dialog").get_by_role("button", name="Replay all that match").click()
    expect(console.page.get_by_role("main")).to_contain_text("0 of 3 dead letters replayed, 3 skipped: 'moody' has no version")


def test_all_that_match_are_discarded_and_the_others_kept(console: Console) -> None:
    console.submit([1, 0])
    console.open("dead-letters")
    console.page.get_by_label("Error code").fill("worker_lost")
    console.press("Filter")
    expect(console.page.get_by_text("No dead letter matches.")).to_be_visible()
    expect(console.page.get_by_role("button", name="Discard all that match")).to_be_disabled()
    console.page.get_by_role("link", name="Clear").click()
    expect(letters(console)).to_have_count(1)
    console.page.get_by_role("button", name="Discard all that match").click()
    dialog = console.page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 dead letters match: no filter.")
    dialog.get_by_role("button", name="Discard all that match").click()
    expect(console.page.get_by_text("No dead letter matches.")).to_be_visible()
    expect(console.page.get_by_role("main")).to_contain_text("1 of 1 dead letters discarded")

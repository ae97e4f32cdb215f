"""The overview with its pools; models, their versions, and the form that tries one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Console

pytestmark = pytest.mark.browser

SLEEP = 4


@pytest.fixture
def running_pool(console: Console) -> Iterator[None]:
    """Leaves the pool active, whatever the test has done to it."""
    yield
    console.api.post("/v1/pools/default/resume")


@pytest.mark.usefixtures("running_pool")
def test_a_pool_shows_its_work_and_can_be_paused_drained_and_resumed(console: Console) -> None:
    console.open("overview")
    pool = console.page.get_by_role("region", name="Pool default")
    expect(pool).to_contain_text("active")
    pool.get_by_role("button", name="Pause").click()
    dialog = console.page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("new disks")
    console.check_accessibility()
    dialog.get_by_role("button", name="Pause").click()
    expect(pool).to_contain_text("paused")
    expect(pool).to_contain_text("new disks")
    pool.get_by_role("button", name="Drain").click()
    dialog.get_by_role("button", name="Drain").click()
    expect(pool).to_contain_text("draining")
    pool.get_by_role("button", name="Resume").click()
    expect(pool).to_contain_text("active")
    assert {item["pool"]: item["state"] for item in console.api.get("/v1/pools").json()["items"]}["default"] == "active"


def test_workers_show_their_models_and_what_each_process_runs(console: Console) -> None:
    id = console.submit([SLEEP, 60], wait=0)["id"]
    console.open("workers")
    worker = console.page.get_by_role("region", name="Workers").get_by_role("row").nth(1)
    expect(worker).to_contain_text("default")
    expect(worker).to_contain_text("wine@1")
    row = console.page.get_by_role("region", name="Running now").get_by_role("row").filter(has_text=id)
    expect(row).to_contain_text("moody@1")
    console.check_accessibility()
    console.api.delete(f"/v1/jobs/{id}")
    expect(row).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_of_the_last_day_are_charts_and_a_table(console: Console, theme: Literal["light", "dark"]) -> None:
    console.page.emulate_media(color_scheme=theme)
    console.submit([0, 1])
    console.open("overview")
    pool = console.page.get_by_role("region", name="Figures of default")
    expect(pool.get_by_role("img")).to_have_count(3)
    expect(pool.get_by_role("img", name="Rate: highest")).to_be_visible()
    pool.get_by_text("Table", exact=True).click()
    expect(pool.get_by_role("columnheader")).to_have_text(["time", "rate", "failed", "wait, 95 %"])
    expect(pool.locator("tbody tr").last).to_contain_text("/s")
    console.check_accessibility()
    console.press("By model")
    expect(console.page.get_by_role("region", name="Figures of moody")).to_contain_text("Wait, 95 %")
    console.check_accessibility()


def test_usage_is_shown_by_owner_model_and_day_with_the_time_of_processes(console: Console) -> None:
    console.submit([0, 1])
    console.open("usage")
    table = console.page.get_by_role("region", name="Usage")
    expect(table).to_contain_text("moody")
    expect(table.get_by_role("columnheader")).to_have_text(["Owner", "Model", "Jobs", "Rows", "Run time", "Cost"])
    console.check_accessibility()
    console.press("By owner")
    console.press("By day")
    expect(table.get_by_role("columnheader")).to_have_text(["Model", "Day", "Jobs", "Rows", "Run time", "Cost"])
    console.press("Today")
    expect(table).to_contain_text("moody")
    expect(console.page.get_by_role("region", name="Processes")).to_contain_text("default")
    console.check_accessibility()


def test_models_are_found_by_name(console: Console) -> None:
    console.open("models")
    console.page.locator("[data-search]").fill("win")
    expect(console.page.locator("tbody tr")).to_have_count(1)
    console.page.get_by_role("link", name="wine").click()
    expect(console.page.get_by_role("region", name="Signature")).to_contain_text("malic_acid")
    expect(console.page.get_by_role("region", name="Drift")).to_contain_text("No column has drifted")
    console.check_accessibility()
    expect(console.page.get_by_role("region", name="Versions", exact=True).first).to_contain_text("production")


def test_a_model_of_columns_is_tried_with_one_field_each(console: Console) -> None:
    console.open("models/wine")
    console.page.get_by_label("alcohol", exact=True).fill("13.2")
    console.page.get_by_label("Output").select_option("predict_proba")
    console.press("Predict")
    result = console.page.get_by_role("region", name="Result")
    expect(result.get_by_role("columnheader")).to_have_text(["row", "barbera", "barolo", "grignolino"])


def test_a_model_of_one_tensor_is_tried_with_json(console: Console) -> None:
    console.open("models/digits")
    console.press("Predict")
    expect(console.page.get_by_role("region", name="Result")).to_be_visible()


def test_what_the_model_refuses_is_said_beside_the_form(console: Console) -> None:
    console.refused.add(422)
    console.open("models/digits")
    console.page.get_by_label("Rows, as JSON").fill("[[1]]")
    console.press("Predict")
    expect(console.page.get_by_role("alert")).to_be_visible()


def test_a_model_can_be_paused_and_resumed(console: Console) -> None:
    console.open("models/diabetes")
    console.page.get_by_role("button", name="Pause").click()
    dialog = console.page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("wrong labels")
    console.check_accessibility()
    dialog.get_by_role("button", name="Pause").click()
    expect(console.page.get_by_role("main")).to_contain_text("wrong labels")
    console.press("Resume")
    expect(console.page.get_by_role("button", name="Pause")).to_be_visible()


def test_a_model_can_be_unloaded_and_loaded(console: Console) -> None:
    console.open("models/diabetes")
    console.press("Unload", confirm=True)
    expect(console.page.get_by_role("button", name="Load", exact=True)).to_be_visible()
    console.press("Load")
    expect(console.page.get_by_role("button", name="Unload")).to_be_visible()


def test_a_version_that_is_needed_is_not_deleted(console: Console) -> None:
    console.refused.add(409)
    console.open("models/diabetes")
    console.press("Delete", confirm=True)
    expect(console.page.get_by_role("status").last).to_contain_text("used by an alias")
    expect(console.page.get_by_role("heading", level=1)).to_have_text("diabetes")

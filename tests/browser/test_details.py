"""One batch with its results, the steps of a pipeline and of a run as a graph, the runs of a schedule, and the deliveries of a webhook."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Console
from tests.running import Running

pytestmark = pytest.mark.browser

PIPELINE = """
description: A sum, and the sum of that.
inputs: [rows]
steps:
  sums: {model: moody, inputs: $inputs.rows}
  again: {model: moody, inputs: [[0.0, $sums.0]]}
output: $again
"""


@pytest.fixture(scope="module")
def pipeline(system: Running) -> str:
    """The name of a pipeline with two steps."""
    folder = system.models / ".pipelines"
    folder.mkdir(exist_ok=True)
    (folder / "twice.yaml").write_text(PIPELINE)
    return "twice"


def batch_of(console: Console, rows: str) -> str:
    file = console.api.post("/v1/files", files={"file": ("rows.csv", rows.encode())}).json()["id"]
    return str(console.api.post("/v1/batches", json={"model": "moody", "input": file}).raise_for_status().json()["id"])


def downloaded(console: Console, fact: str) -> str:
    with console.page.expect_download() as download:
        console.page.locator(f"dt:text-is('{fact}') + dd a").click()
    return Path(download.value.path()).read_text()


def test_a_batch_shows_its_state_and_leads_to_its_results(console: Console) -> None:
    id = batch_of(console, "x0,x1\n0,1\n0,2\n")
    console.open("batches")
    console.page.get_by_role("link", name=id).click()
    facts = console.page.get_by_role("region", name="Facts")
    expect(facts).to_contain_text("completed")
    expect(facts).to_contain_text("2 of 2")
    expect(console.page.get_by_role("region", name="Timeline")).to_contain_text("Completed")
    console.check_accessibility()
    assert downloaded(console, "Output").splitlines()[1:] == ["1", "2"]


def test_rows_that_failed_can_be_downloaded_with_their_reasons(console: Console) -> None:
    id = batch_of(console, "x0,x1\n0,1\n0,two\n")
    console.open(f"batches/{id}")
    expect(console.page.get_by_role("region", name="Facts")).to_contain_text("1 of 2")
    assert "'two'" in downloaded(console, "Failed rows, each with its reason")


def test_a_pipeline_is_drawn_and_run(console: Console, pipeline: str) -> None:
    console.open("pipelines")
    console.page.get_by_role("link", name=pipeline).click()
    graph = console.page.get_by_role("img", name="sums, again after sums")
    expect(graph).to_be_visible()
    console.check_accessibility()
    console.page.get_by_label("Inputs, as JSON").fill('{"rows": [[0.0, 2.0]]}')
    console.press("Run")
    expect(console.page.get_by_role("img", name="sums (succeeded), again (succeeded) after sums")).to_be_visible()
    console.check_accessibility()


def test_inputs_that_are_no_json_start_nothing(console: Console, pipeline: str) -> None:
    console.open(f"pipelines/{pipeline}")
    console.page.get_by_label("Inputs, as JSON").fill("{rows")
    console.press("Run")
    expect(console.page.get_by_role("alert")).to_contain_text("The input is not JSON")


def test_a_schedule_shows_what_became_of_its_runs(console: Console) -> None:
    run = {"training": {"trainer": "gaussian-nb", "dataset": "missing.csv", "target": "y", "model": "nightly"}}
    console.api.post("/v1/schedules", json={"name": "nightly", "cron": "0 3 * * *", "run": run}).raise_for_status()
    console.api.post("/v1/schedules/nightly/run")
    console.open("schedules")
    console.page.get_by_role("link", name="nightly").click()
    expect(console.page.get_by_role("region", name="Facts")).to_contain_text("0 3 * * *")
    expect(console.page.get_by_role("region", name="What it starts")).to_contain_text("missing.csv")
    expect(console.page.get_by_role("region", name="List of runs").get_by_role("row")).to_have_count(2)
    console.check_accessibility()
    console.api.delete("/v1/schedules/nightly")


def test_a_webhook_shows_what_was_sent_and_sends_it_again(console: Console) -> None:
    hook = (
        console.api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/hook", "events": ["completed"]}).raise_for_status().json()["id"]
    )
    job = console.submit([0, 1])["id"]
    console.open("webhooks")
    console.page.get_by_role("link", name="http://127.0.0.1:9/hook").click()
    row = console.page.get_by_role("row").filter(has_text=job)
    expect(row).to_contain_text("attempts failed")
    console.check_accessibility()
    row.get_by_role("button", name="Send again").click()
    expect(console.page.get_by_text("The event is sent again.")).to_be_visible()
    console.api.delete(f"/v1/webhooks/{hook}")


def test_each_page_is_accessible_in_the_dark(console: Console, pipeline: str) -> None:
    """The other tests of this file look at them in the light."""
    console.page.emulate_media(color_scheme="dark")
    batch = batch_of(console, "x0,x1\n0,1\n0,two\n")
    run = {"pipeline": {"pipeline": pipeline, "inputs": {"rows": [[0.0, 2.0]]}}}
    console.api.post("/v1/schedules", json={"name": "dark", "cron": "0 3 * * *", "run": run}).raise_for_status()
    console.api.post("/v1/schedules/dark/run").raise_for_status()
    job = console.api.post("/v1/jobs", params={"wait": 20}, json=run["pipeline"]).raise_for_status().json()["id"]
    hook = (
        console.api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/dark", "events": ["completed"]}).raise_for_status().json()["id"]
    )
    for page in (f"batches/{batch}", f"pipelines/{pipeline}", f"jobs/{job}", "schedules/dark", f"webhooks/{hook}", "nowhere"):
        console.open(page)
        expect(console.page.get_by_text("Loading…")).to_have_count(0)
        console.check_accessibility()
    console.api.delete("/v1/schedules/dark")
    console.api.delete(f"/v1/webhooks/{hook}")

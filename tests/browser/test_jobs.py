"""Jobs: the list and its filters, rows that stay in their places, and one job with its actions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from app.registry.repository import Repository
from app.runtime.model_yaml import publish_folder
from app.runtime.publishing import publish
from tests.browser.conftest import Console
from tests.misbehaving import Moody
from tests.running import Running, wait_until_ready

pytestmark = pytest.mark.browser

SLEEP = 4
PAINTER = {
    "model.yaml": """
inputs: [{name: size, datatype: INT64, shape: [-1]}]
outputs:
  - {name: pixels, datatype: UINT8, shape: [-1, 8, 8, 3]}
  - {name: file, datatype: BYTES, shape: [-1]}
sample: [1]
""",
    "model.py": """
import base64

FILE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="

def predict(inputs):
    return {"pixels": [[[255, 0, 0]] * 8] * 8, "file": base64.b64decode(FILE)}
""",
}
"""A model that answers with a red square, and with a PNG file."""


def test_filters_are_chips_in_the_address(console: Console) -> None:
    failed, good = console.submit([1, 0])["id"], console.submit([0, 1])["id"]
    console.open("jobs")
    expect(console.page.get_by_role("link", name=good)).to_be_visible()
    console.press("failed")
    expect(console.page.get_by_role("link", name=good)).to_have_count(0)
    expect(console.page.get_by_role("link", name=failed)).to_be_visible()
    assert console.page.url.endswith("#/jobs?state=failed")
    console.page.locator("[data-search]").fill("wine")
    console.page.keyboard.press("Enter")
    expect(console.page.get_by_text("No job matches.")).to_be_visible()
    assert "model=wine" in console.page.url
    console.page.reload()
    expect(console.page.get_by_role("button", name="model: wine")).to_be_visible()
    console.page.get_by_role("button", name="model: wine").click()
    expect(console.page.get_by_role("link", name=failed)).to_be_visible()


def test_rare_filters_are_in_a_form_and_become_chips(console: Console) -> None:
    failed = console.submit([1, 0])["id"]
    console.submit([0, 1])
    console.open("jobs?state=failed")
    console.page.get_by_text("More filters").click()
    console.page.get_by_label("Error code").fill("prediction_failed")
    console.page.get_by_label("Beginning of the ID").fill(failed[:24])
    console.page.get_by_label("Kind").select_option("prediction")
    console.page.get_by_label("Created since").fill("2026-01-01T00:00")
    console.check_accessibility()
    console.press("Filter")
    expect(console.page.locator("tbody tr")).to_have_count(1)
    expect(console.page.get_by_role("link", name=failed)).to_be_visible()
    assert f"id_prefix={failed[:24]}" in console.page.url
    console.page.reload()
    console.page.get_by_role("button", name="kind: prediction").click()
    console.page.get_by_role("button", name=f"ID: {failed[:24]}").click()
    expect(console.page.get_by_role("button", name="error: prediction_failed")).to_be_visible()
    expect(console.page.get_by_role("button", name="kind: prediction")).to_have_count(0)


def test_all_jobs_that_match_are_counted_and_cancelled(console: Console, system: Running) -> None:
    publish(Repository(system.models), Moody(), "orphan", sample=np.zeros((3, 2)), format="joblib", pool="nobody")
    wait_until_ready(f"{system.url}/v1/models/orphan")
    for _ in range(3):
        console.submit([0, 1], wait=0, model="orphan")
    console.open("jobs?model=orphan")
    console.page.get_by_role("button", name="Cancel all that match").click()
    dialog = console.page.get_by_role("dialog")
    expect(dialog).to_contain_text("3 jobs match: model orphan.")
    console.check_accessibility()
    dialog.get_by_role("button", name="Cancel all that match").click()
    expect(console.page.get_by_role("main")).to_contain_text("3 of 3 jobs cancelled")
    # The page still shows it when it is opened again.
    console.page.reload()
    expect(console.page.get_by_role("main")).to_contain_text("3 of 3 jobs cancelled")
    expect(console.page.get_by_role("row").filter(has_text="cancelled")).to_have_count(3)
    console.check_accessibility()


def test_an_id_in_the_search_opens_its_job(console: Console) -> None:
    id = console.submit([0, 1])["id"]
    console.open("jobs")
    console.page.locator("[data-search]").fill(id)
    console.page.keyboard.press("Enter")
    expect(console.page.get_by_role("heading", level=1)).to_have_text(f"Job {id}")


def test_a_new_job_is_announced_and_moves_no_row(console: Console) -> None:
    console.submit([0, 1])
    console.open("jobs")
    first = console.page.locator("tbody tr").first
    before = first.inner_text().split()[2]
    id = console.submit([0, 2])["id"]
    button = console.page.get_by_role("button", name="Show 1 new job")
    expect(button).to_be_visible()
    expect(first).to_contain_text(before)
    button.click()
    expect(first).to_contain_text(id)


def test_the_state_of_a_row_follows_its_job(console: Console) -> None:
    id = console.submit([SLEEP, 2], wait=0)["id"]
    console.open("jobs")
    row = console.page.get_by_role("row").filter(has_text=id)
    expect(row).to_contain_text("succeeded")


def test_older_jobs_are_on_further_pages(console: Console) -> None:
    ids = [console.submit([0, number], wait=0)["id"] for number in range(51)]
    console.open("jobs")
    console.press("Older")
    expect(console.page.get_by_role("link", name=ids[0])).to_be_visible()
    assert "cursor=" in console.page.url
    console.press("Newest")
    expect(console.page.get_by_role("link", name=ids[-1])).to_be_visible()


def test_a_job_shows_its_result_as_a_table_and_its_timeline(console: Console, wine: dict[str, Any]) -> None:
    body = {"model": "wine", "method": "predict_proba", "inputs": [wine]}
    id = console.api.post("/v1/jobs", params={"wait": 20}, json=body).json()["id"]
    console.open(f"jobs/{id}")
    result = console.page.get_by_role("region", name="Result", exact=True).last
    expect(result.get_by_role("columnheader")).to_have_text(["row", "barbera", "barolo", "grignolino"])
    expect(console.page.get_by_role("region", name="Timeline")).to_contain_text("Succeeded")
    expect(console.page.get_by_role("region", name="Timeline")).to_contain_text("Attempt 1")
    expect(console.page.get_by_role("region", name="Input", exact=True).last.get_by_role("row")).to_have_count(2)
    expect(console.page.get_by_role("region", name="Diagnosis")).to_contain_text("queued")


def test_integers_keep_all_of_their_digits(console: Console) -> None:
    """A browser reads 9007199254740993 as 9007199254740992."""
    job = {**console.submit([0, 1]), "result": [9007199254740993, -12345678901234567890]}
    id, body = job["id"], json.dumps(job)
    console.page.route(f"**/v1/jobs/{id}", lambda route: route.fulfill(content_type="application/json", body=body))
    console.open(f"jobs/{id}")
    result = console.page.get_by_role("region", name="Result", exact=True).last
    expect(result).to_contain_text("9007199254740993")
    expect(result).to_contain_text("-12345678901234567890")


def test_a_failed_job_shows_its_error_and_leads_to_its_dead_letter(console: Console) -> None:
    id = console.submit([1, 0])["id"]
    console.open(f"jobs/{id}")
    expect(console.page.get_by_role("region", name="Error")).to_contain_text("not in the mood")
    expect(console.page.get_by_role("region", name="Input").last).to_contain_text("row")
    expect(console.page.get_by_role("region", name="Timeline")).to_contain_text("Attempt 1")
    console.press("Show traceback")
    expect(console.page.get_by_role("region", name="Error")).to_contain_text("Traceback")
    console.check_accessibility()
    console.page.get_by_role("link", name="Correct the input and replay").click()
    expect(console.page.get_by_role("heading", level=1)).to_have_text(f"Dead letter {id}")


def test_a_running_job_can_be_cancelled_after_a_question(console: Console) -> None:
    id = console.submit([SLEEP, 60], wait=0)["id"]
    console.open(f"jobs/{id}")
    console.press("Cancel")
    console.press("Keep")
    expect(console.page.get_by_role("dialog")).to_have_count(0)
    console.press("Cancel", confirm=True)
    expect(console.page.get_by_role("region", name="Facts")).to_contain_text("cancelled")


@pytest.mark.parametrize("label", ["Copy curl", "Copy Python", "Copy CLI"])
def test_a_job_can_be_copied_as_a_command(console: Console, label: str) -> None:
    id = console.submit([0, 1])["id"]
    console.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    console.open(f"jobs/{id}")
    console.press(label)
    expect(console.page.get_by_role("status").last).to_contain_text("Copied")
    text = console.page.evaluate("navigator.clipboard.readText()")
    assert id in text
    if label == "Copy Python":
        compile(text, "copied", "exec")


def test_pictures_in_a_result_are_shown(console: Console, system: Running, tmp_path: Path) -> None:
    for name, text in PAINTER.items():
        (tmp_path / name).write_text(text)
    publish_folder(Repository(system.models), "painter", tmp_path)
    wait_until_ready(f"{system.url}/v2/models/painter/ready")
    drawn: dict[str, Any] = {}
    for method in ("pixels", "file"):
        body = {"model": "painter", "method": method, "inputs": [1]}
        job = console.api.post("/v1/jobs", params={"wait": 20}, json=body).raise_for_status().json()
        console.open(f"jobs/{job['id']}")
        image = console.page.get_by_role("img", name="Result, row 0")
        expect(image).to_be_visible()
        console.check_accessibility()
        color = "(image) => [...image.getContext('2d').getImageData(7, 7, 1, 1).data]"
        drawn[method] = image.evaluate(color if method == "pixels" else "(image) => image.decode().then(() => image.naturalWidth)")
    assert drawn == {"pixels": [255, 0, 0, 255], "file": 1}


def test_a_job_that_has_expired_says_so(console: Console) -> None:
    console.refused.add(410)
    console.open("jobs/01938d2c5f3a7be1c04d5a6f7e8091a2")
    expect(console.page.get_by_role("alert")).to_contain_text("job_expired")


@pytest.fixture(scope="session")
def wine(sample_models: Path) -> dict[str, Any]:
    return dict(json.loads((sample_models / "wine/1/examples.json").read_text())[0]["input"])

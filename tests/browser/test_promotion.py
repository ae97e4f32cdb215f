"""Aliases in the console: a version is promoted and rolled back, and each move is shown as it happens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.registry.repository import Repository
from app.runtime.model_yaml import publish_folder
from tests.browser.conftest import Console
from tests.code import HERE
from tests.running import Running, wait_until_ready

pytestmark = pytest.mark.browser

MODEL = "moved"


def publish(system: Running, folder: Path, number: int, *, mood: str = "", promote: str | None = None) -> None:
    """Publishes a version that adds `number` to what it is asked."""
    source = folder / str(number)
    shutil.copytree(HERE / "patient", source)
    (source / "number").write_text(str(number))
    (source / "mood").write_text(mood)
    with (source / "model.yaml").open("a") as file:
        file.write("sample: [1.0]\n")
    publish_folder(Repository(system.models), MODEL, source, promote=promote)


@pytest.fixture(scope="module")
def versions(system: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Version 1 in production, and version 2."""
    folder = tmp_path_factory.mktemp("versions")
    publish(system, folder, 1, promote="production")
    wait_until_ready(f"{system.url}/v2/models/{MODEL}/versions/1/ready")
    publish(system, folder, 2)
    yield
    shutil.rmtree(system.models / MODEL)


def promote(console: Console, version: str, alias: str) -> None:
    chosen = console.page.get_by_role("button", name=version, exact=True)
    console.page.get_by_role("row").filter(has=chosen).get_by_role("button", name="Promote").click()
    dialog = console.page.get_by_role("dialog")
    dialog.get_by_label("Alias").fill(alias)
    console.check_accessibility()
    dialog.get_by_role("button", name="Promote").click()


@pytest.mark.usefixtures("versions")
def test_a_version_is_promoted_and_rolled_back(console: Console) -> None:
    console.open(f"models/{MODEL}")
    promote(console, "2", "production")
    promotion = console.page.get_by_role("region", name="Promotion of production")
    expect(promotion).to_contain_text("production points to version 2.")
    console.check_accessibility()
    console.press("Roll back", confirm=True)
    expect(promotion).to_contain_text("production points to version 1.")
    assert console.api.get(f"/v1/models/{MODEL}").json()["aliases"] == {"production": "1"}
    entries = console.api.get("/v1/audit", params={"action": "model.*"}).json()["items"]
    moved = [entry for entry in entries if entry["action"] == "model.promoted" and entry["targets"][0]["id"] == f"{MODEL}@production"]
    assert [(entry["before"]["version"], entry["after"]["version"]) for entry in moved][:2] == [("2", "1"), ("1", "2")]


@pytest.mark.usefixtures("versions")
def test_a_version_is_rolled_out_and_taken_back(console: Console) -> None:
    console.open(f"models/{MODEL}")
    chosen = console.page.get_by_role("button", name="2", exact=True)
    console.page.get_by_role("row").filter(has=chosen).get_by_role("button", name="Roll out").click()
    dialog = console.page.get_by_role("dialog")
    dialog.get_by_label("Shares in percent").fill("5, 100")
    console.check_accessibility()
    dialog.get_by_role("button", name="Roll out").click()
    rollout = console.page.get_by_role("region", name="Rollout of production")
    expect(rollout).to_contain_text("production: 5 % of version 2")
    expect(rollout).to_contain_text("100 jobs")
    console.check_accessibility()
    console.press("Take back", confirm=True)
    expect(rollout).to_have_count(0)
    assert console.api.get(f"/v1/models/{MODEL}/aliases/production/rollout").json()["state"] == "rolled_back"


@pytest.mark.usefixtures("versions")
def test_a_version_that_no_worker_can_serve_leaves_the_alias_and_says_why(console: Console, system: Running, tmp_path: Path) -> None:
    console.open(f"models/{MODEL}")
    publish(system, tmp_path, 3, mood="raise", promote="production")
    promotion = console.page.get_by_role("region", name="Promotion of production")
    expect(promotion).to_contain_text("failed")
    expect(promotion).to_contain_text("there is no licence")
    expect(console.page.get_by_role("region", name="List of aliases").get_by_role("row").last).to_contain_text("production1")
    expect(console.page.get_by_role("button", name="Promote")).to_have_count(2)
    console.check_accessibility()


@pytest.mark.usefixtures("versions")
def test_versions_are_compared_side_by_side(console: Console) -> None:
    for version in ("1", "2"):
        wait_until_ready(f"{console.url}/v2/models/{MODEL}/versions/{version}/ready")
        console.api.post("/v1/jobs", params={"wait": 20}, json={"model": f"{MODEL}@{version}", "inputs": [1.0]}).raise_for_status()
    console.open(f"models/{MODEL}")
    rows = console.page.get_by_role("region", name="Figures by version").get_by_role("row")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("0 (0.0 %)")

"""The console in a real browser, on a running system. Nothing but this machine can be reached, and every error of a page fails its test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright

from tests.running import ROOT, Running, running_system, wait_until_ready

WIDTHS = {"wide": 1280, "narrow": 390}
# How long a screen takes says how busy the machine is.
expect.set_options(timeout=60_000)
LOOPBACK = ("127.0.0.1", "localhost")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
REPORTS = "addEventListener('securitypolicyviolation', (event) => console.error('policy', event.violatedDirective, event.blockedURI))"


@dataclass
class Console:
    """A page of the console, and the API as its tests use it."""

    page: Page
    url: str
    api: httpx.Client
    errors: list[str]
    refused: set[int]
    """Statuses of responses that the test expects. The browser logs every response from 400 on."""

    def open(self, address: str) -> None:
        """Opens a screen, and waits until its heading is there."""
        self.page.goto(f"{self.url}/console/#/{address}")
        self.page.locator("h1").first.wait_for()

    def press(self, label: str, *, confirm: bool = False) -> None:
        """Presses a button, and the same one in the dialog that asks."""
        self.page.get_by_role("button", name=label, exact=True).first.click()
        if confirm:
            self.page.get_by_role("dialog").get_by_role("button", name=label, exact=True).click()

    def submit(self, *rows: list[float], wait: int = 20, model: str = "moody") -> dict[str, Any]:
        """A job of the model that misbehaves if a row demands it."""
        return dict(self.api.post("/v1/jobs", params={"wait": wait}, json={"model": model, "inputs": list(rows)}).json())

    def check_accessibility(self) -> None:
        """Finds no violation of WCAG 2.2 A and AA."""
        found = Axe().run(self.page, options={"runOnly": {"type": "tag", "values": RULES}})
        assert found.violations_count == 0, found.generate_report()


@pytest.fixture(scope="session")
def chromium() -> str:
    done = subprocess.run([ROOT / "scripts/browser"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(done.stderr.strip())
    return done.stdout.strip()


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium's sandbox needs a user other than root.
        launched = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=os.getuid() != 0)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def system(chromium: str, sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with (
        running_system(tmp_path_factory.mktemp("browser"), sample_models, {"CELERIAC_WEBHOOK_ALLOW_PRIVATE": "1"}) as running,
        running.process("worker"),
    ):
        wait_until_ready(f"{running.url}/v2/models/wine/ready")
        wait_until_ready(f"{running.url}/v2/models/moody/ready")
        yield running


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Console]]:
    """Opens the console of a server. A message of the browser, or a request to another machine, fails the test."""
    closing, errors, refused = list[Any](), list[str](), set[int]()

    def note(message: ConsoleMessage) -> None:
        expected = any(f"responded with a status of {status} " in message.text for status in refused)
        if message.type in ("error", "warning") and not expected:
            errors.append(message.text)

    def stay_here(route: Route) -> None:
        if urlsplit(route.request.url).hostname in LOOPBACK:
            route.continue_()
        else:
            errors.append(f"request to {route.request.url}")
            route.abort()

    def opening(url: str, **options: Any) -> Console:
        context = browser.new_context(viewport={"width": WIDTHS["wide"], "height": 900}, reduced_motion="reduce", **options)
        api = httpx.Client(base_url=url)
        closing.extend((context, api))
        context.set_default_timeout(60_000)
        context.add_init_script(REPORTS)
        context.route("**/*", stay_here)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return Console(page, url, api, errors, refused)

    yield opening
    for resource in closing:
        resource.close()
    assert errors == []


@pytest.fixture
def console(opened: Callable[..., Console], system: Running) -> Console:
    return opened(system.url)

"""The frame: navigation, keys, themes, narrow pages, and a path prefix."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import WIDTHS, Console
from tests.running import Running

pytestmark = pytest.mark.browser

SCREENS = (
    "overview", "jobs", "dead-letters", "models", "models/wine", "batches", "pipelines", "trainings", "schedules", "workers", "usage",
    "webhooks", "keys", "audit",
)  # fmt: skip


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_screen_is_accessible_and_fits(opened: Callable[..., Console], system: Running, theme: str, width: str) -> None:
    console = opened(system.url, color_scheme=theme)
    console.page.set_viewport_size({"width": WIDTHS[width], "height": 800})
    failed = console.submit([1, 0])["id"]
    for screen in (*SCREENS, f"jobs/{failed}", f"dead-letters/{failed}"):
        console.open(screen)
        expect(console.page.get_by_text("Loading…")).to_have_count(0)
        if width == "wide":
            console.check_accessibility()
        assert console.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), screen


def test_a_banner_says_that_authentication_is_off(console: Console) -> None:
    console.open("overview")
    expect(console.page.get_by_role("note")).to_contain_text("Authentication is off.")


def test_the_root_of_the_server_shows_the_overview(console: Console) -> None:
    console.page.goto(console.url)
    expect(console.page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_the_navigation_leads_to_each_screen(console: Console) -> None:
    console.open("overview")
    links = console.page.get_by_role("navigation", name="Screens").get_by_role("link")
    for name in links.all_inner_texts():
        links.get_by_text(name, exact=True).click()
        expect(console.page.get_by_role("heading", level=1)).to_have_text(name)
        expect(console.page).to_have_title(f"{name} · Celeriac")


def test_keys_lead_to_screens_and_rows(console: Console) -> None:
    ids = [console.submit([0, 1])["id"] for _ in range(2)][::-1]
    console.open("overview")
    console.page.keyboard.type("gj")
    expect(console.page.get_by_role("heading", level=1)).to_have_text("Jobs")
    expect(console.page.get_by_role("link", name=ids[0])).to_be_visible()
    console.page.keyboard.type("jjk")
    expect(console.page.locator("tr.current")).to_contain_text(ids[0])
    console.page.keyboard.press("Enter")
    expect(console.page.get_by_role("heading", level=1)).to_have_text(f"Job {ids[0]}")


def test_a_slash_leads_to_the_search_and_a_question_mark_lists_the_keys(console: Console) -> None:
    console.open("jobs")
    console.page.keyboard.press("/")
    expect(console.page.locator("[data-search]")).to_be_focused()
    console.page.keyboard.press("Escape")
    console.page.keyboard.press("?")
    expect(console.page.get_by_role("dialog", name="Keys")).to_be_visible()
    console.check_accessibility()
    console.page.keyboard.press("Escape")
    expect(console.page.get_by_role("dialog")).to_have_count(0)


def test_the_first_tab_stop_skips_the_navigation(console: Console) -> None:
    console.open("jobs")
    console.page.keyboard.press("Tab")
    expect(console.page.get_by_text("Skip to the content")).to_be_focused()
    console.page.keyboard.press("Enter")
    expect(console.page.locator("main")).to_be_focused()
    assert console.page.url.endswith("#/jobs")


def test_the_theme_can_be_chosen_and_is_kept(console: Console) -> None:
    console.open("overview")
    for theme in ("light", "dark"):
        console.page.get_by_role("button", name="Theme").click()
        expect(console.page.locator("html")).to_have_attribute("data-theme", theme)
    console.page.reload()
    expect(console.page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert console.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_a_narrow_page_has_its_navigation_behind_a_button(console: Console) -> None:
    console.page.set_viewport_size({"width": WIDTHS["narrow"], "height": 800})
    console.open("overview")
    expect(console.page.get_by_role("navigation", name="Screens")).to_be_hidden()
    console.press("Menu")
    console.page.get_by_role("link", name="Models").click()
    expect(console.page.get_by_role("heading", level=1)).to_have_text("Models")
    expect(console.page.get_by_role("navigation", name="Screens")).to_be_hidden()


def test_it_works_below_a_path_of_a_proxy(console: Console) -> None:
    """The proxy strips the path, and the server does not know it."""
    console.page.route("**/ml/**", lambda route: route.continue_(url=route.request.url.replace("/ml/", "/", 1)))
    console.page.goto(f"{console.url}/ml/console/#/models")
    expect(console.page.get_by_role("link", name="wine")).to_be_visible()
    assert console.page.locator("a", has_text="API reference").get_attribute("href") == f"{console.url}/ml/docs"

"""Signing in with a key, what the browser keeps of it, and how a session ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Console
from tests.running import Running
from tests.signing_in import Provider, provider

pytestmark = pytest.mark.browser

SETTINGS = {"auth": "keys", "key_prefix": "locked", "console_oidc_issuer": "company", "console_oidc_client_id": "console"}


@dataclass
class Locked:
    """An API that demands keys, and the key of its administrator."""

    url: str
    admin: str
    people: Provider

    def key(self, role: str) -> tuple[str, str]:
        """The ID and the text of a new key."""
        body = {"name": f"a {role}", "role": role}
        made = httpx.post(f"{self.url}/v1/keys", json=body, headers={"x-api-key": self.admin}).json()
        return made["id"], made["key"]


@pytest.fixture(scope="module")
def locked(system: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    issuers = tmp_path_factory.mktemp("issuers") / "issuers.json"
    own = {f"CELERIAC_{name.upper()}": value for name, value in SETTINGS.items()} | {"CELERIAC_ISSUERS_FILE": str(issuers)}
    line = [sys.executable, "-m", "app", "keys", "bootstrap"]
    done = subprocess.run(line, env=os.environ | system.environment | own, capture_output=True, text=True, check=True)
    with provider() as people:
        rules = [{"value": "admins", "role": "admin"}]
        entry = {"name": "company", "issuer": people.url, "audiences": ["console"], "roles": rules}
        issuers.write_text(json.dumps({"issuers": [entry]}))
        with system.process("api", **SETTINGS, issuers_file=issuers) as (_, url):
            yield Locked(url, done.stdout.strip(), people)


def sign_in(console: Console, key: str) -> None:
    console.refused.add(401)
    console.page.goto(f"{console.url}/console/")
    console.page.get_by_label("API key").fill(key)
    console.press("Sign in")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_form_is_accessible(opened: Callable[..., Console], locked: Locked, theme: str) -> None:
    console = opened(locked.url, color_scheme=theme)
    console.refused.add(401)
    console.page.goto(f"{locked.url}/console/")
    expect(console.page.get_by_label("API key")).to_be_visible()
    console.check_accessibility()


def test_the_browser_keeps_a_cookie_and_not_the_key(opened: Callable[..., Console], locked: Locked) -> None:
    console = opened(locked.url)
    sign_in(console, locked.admin)
    expect(console.page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(console.page.get_by_role("note")).to_have_count(0)
    state = console.page.context.storage_state()
    [cookie] = state["cookies"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert locked.admin[13:45] not in json.dumps(state)
    assert console.page.evaluate("document.cookie") == ""
    console.page.reload()
    expect(console.page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_a_wrong_key_is_refused_with_a_reason(opened: Callable[..., Console], locked: Locked) -> None:
    console = opened(locked.url)
    sign_in(console, "cel_wrong")
    expect(console.page.get_by_role("alert")).to_contain_text("not a Celeriac API key")


def test_who_signs_out_must_sign_in_again(opened: Callable[..., Console], locked: Locked) -> None:
    console = opened(locked.url)
    sign_in(console, locked.admin)
    console.press("Sign out")
    expect(console.page.get_by_label("API key")).to_be_visible()
    console.page.reload()
    expect(console.page.get_by_label("API key")).to_be_visible()
    assert console.page.context.cookies() == []


def test_a_viewer_sees_only_what_its_key_may_do(opened: Callable[..., Console], locked: Locked) -> None:
    console = opened(locked.url)
    sign_in(console, locked.key("viewer")[1])
    expect(console.page.get_by_role("region", name="Pool default")).to_be_visible()
    expect(console.page.get_by_role("button", name="Pause")).to_have_count(0)
    screens = console.page.get_by_role("navigation", name="Screens").get_by_role("link")
    assert not {"Dead letters", "Keys", "Audit log"} & set(screens.all_inner_texts())


def test_an_administrator_ends_the_session_of_a_key(opened: Callable[..., Console], locked: Locked) -> None:
    id, key = locked.key("user")
    user, admin = opened(locked.url), opened(locked.url)
    sign_in(user, key)
    expect(user.page.get_by_role("heading", level=1)).to_have_text("Overview")
    sign_in(admin, locked.admin)
    admin.page.get_by_role("link", name="Keys", exact=True).click()
    admin.page.get_by_role("row").filter(has_text=id).get_by_role("button", name="Disable").click()
    admin.page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(user.page.get_by_label("API key")).to_be_visible()
    admin.page.get_by_role("link", name="Audit log").click()
    expect(admin.page.get_by_role("row").filter(has_text="key.disabled").first).to_contain_text(locked.admin[4:12])


def test_a_person_signs_in_with_the_provider_and_comes_back_to_the_page(opened: Callable[..., Console], locked: Locked) -> None:
    console = opened(locked.url)
    console.refused.add(401)
    console.page.goto(f"{locked.url}/console/#/keys")
    console.page.get_by_role("link", name="Sign in with company").click()
    expect(console.page).to_have_url(re.compile(f"^{locked.people.url}/"))
    console.press("alice")
    expect(console.page.get_by_role("heading", level=1)).to_have_text("Keys")
    expect(console.page.get_by_role("banner")).to_contain_text("company:alice")
    assert [(cookie["httpOnly"], cookie["sameSite"]) for cookie in console.page.context.cookies(locked.url)] == [(True, "Strict")]
    console.press("Sign out")
    expect(console.page.get_by_role("link", name="Sign in with company")).to_be_visible()


def test_the_page_says_why_a_sign_in_failed(opened: Callable[..., Console], locked: Locked) -> None:
    console = opened(locked.url)
    console.refused.add(401)
    for button, reason in (("mallory", "Your account has no role here."), ("Deny", "The provider did not sign you in.")):
        console.page.goto(f"{locked.url}/console/")
        console.page.get_by_role("link", name="Sign in with company").click()
        console.press(button)
        expect(console.page.get_by_role("alert")).to_contain_text(reason)
        console.check_accessibility()

"""A browser of the machine's own Chromium, and a page that remembers every complaint of its console."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from scripts.chromium import ARGUMENTS, chromium_path
from tests.pages import person

PASSWORD = "a long enough password"


@pytest.fixture(scope="module", name="chromium")
def _chromium() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    # Playwright's synchronous interface runs an event loop, in which Django refuses its database unless told otherwise.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(autouse=True)
def _signing_in_often(settings: Any) -> Iterator[None]:
    """Many sign in from one address here; what one test counted must not refuse the next."""
    settings.RATE_LIMIT_SIGN_IN = "100000/m"
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(name="admin")
def _admin(transactional_db: None) -> User:
    return person("ann", superuser=True, password=PASSWORD)


@pytest.fixture(name="desk")
def _desk(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    yield context
    context.close()


@pytest.fixture(name="phone")
def _phone(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True, locale="en-GB")
    yield context
    context.close()


def listening(context: BrowserContext) -> tuple[Page, list[str]]:
    """A new page and the list its errors and policy violations are put on."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("response", lambda got: complaints.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


def sign_in(page: Page, server: LiveServer) -> None:
    page.goto(server.url)
    page.fill("input[name=username]", "ann")
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector("table.fleet")

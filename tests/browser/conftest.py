"""A browser of the machine's own Chromium, and a page that remembers every complaint of its console."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from scripts.chromium import ARGUMENTS, chromium_path
from tests.pages import person, signed_in

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


class Doorkeeper:
    """A WSGI application before the live server's own: it knows which answers are under way, and lets no more in when told.

    The server's threads share the test's connection, and a page goes on asking until it is closed. A table that one of them
    still reads cannot be emptied after the test.
    """

    def __init__(self, application: Callable[..., Any]) -> None:
        self.application = application
        self._under_way = 0
        self._open = True
        self._changed = threading.Condition()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        with self._changed:
            if not self._open:
                start_response("503 Service Unavailable", [("Content-Length", "0")])
                return []
            self._under_way += 1
        try:
            answer = self.application(environ, start_response)
            try:
                return list(answer)
            finally:
                answer.close()
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._open = False
            assert self._changed.wait_for(lambda: self._under_way == 0, timeout=30), "a page was not answered within 30 s"


@pytest.fixture(name="live_server")
def _live_server(live_server: LiveServer) -> Iterator[LiveServer]:
    """The server of all tests, which has answered everything before the tables are emptied."""
    httpd = live_server.thread.httpd
    application = httpd.get_app()
    assert application is not None
    door = Doorkeeper(application)
    httpd.set_app(door)
    yield live_server
    door.close()
    httpd.set_app(application)


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


def sign_in(context: BrowserContext, server: LiveServer, name: str = "ann") -> None:
    """As one who has signed in before: the form has tests of its own."""
    cookie = signed_in(User.objects.get(username=name)).cookies[settings.SESSION_COOKIE_NAME]
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": server.url}])


def open_fleet(page: Page, server: LiveServer) -> None:
    sign_in(page.context, server)
    page.goto(server.url)
    page.wait_for_selector("table.fleet")

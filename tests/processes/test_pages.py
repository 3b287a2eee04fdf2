"""The whole journey in a real browser against the real product and its simulator, at a desk and on a phone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from scripts.chromium import ARGUMENTS, chromium_path
from tests.conftest import StartProduct, StartSimulator
from tests.processes.fleet import IMAGE, QUICK, ask_for
from tests.processes.product import Product

pytestmark = [pytest.mark.process, pytest.mark.browser, pytest.mark.xdist_group("pages")]  # they share a product

WIDTHS = {"desk": {"width": 1280, "height": 860}, "phone": {"width": 360, "height": 780}}
GIVEN_UP = "net::ERR_ABORTED"
WITHIN = 60_000
MAKE_VIEWER = """
from django.contrib.auth.models import Group, User
user = User.objects.create_user("vic", password="a long enough password")
user.groups.add(Group.objects.get(name="viewer"))
"""


@pytest.fixture(scope="module")
def running(shared_product: StartProduct, shared_simulator: StartSimulator) -> Product:
    started = shared_product("embedded", simulator=shared_simulator(speed=60), **QUICK)
    started.wait_for_prices()
    return started


@pytest.fixture(name="launched", scope="module")
def _launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(name="chromium")
def _chromium(launched: Browser) -> Iterator[Browser]:
    """With no page of an earlier test, which would go on updating itself."""
    yield launched
    for context in launched.contexts:
        context.close()


def listening(chromium: Browser, device: str) -> tuple[Page, list[str]]:
    page = chromium.new_context(viewport=WIDTHS[device], locale="en-GB").new_page()  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("response", lambda got: complaints.append(f"{got.status} {got.url}") if got.status >= 400 else None)
    # A page that is left, or that asks anew, gives up what it had asked for.
    page.on(
        "requestfailed", lambda lost: complaints.append(f"{lost.failure} {lost.url}") if lost.failure != GIVEN_UP else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(WITHIN)
    return page, complaints


def sign_in(page: Page, running: Product, name: str, password: str) -> None:
    page.goto(running.url)
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_selector("table.fleet")


def rent(page: Page, running: Product, name: str) -> None:
    """Create it on its page, and watch it become ready without a reload."""
    page.goto(f"{running.url}/create")
    page.check("input[value='RTX 4090 24GB']")
    page.check("#source-image")
    page.fill("#in-image_url", IMAGE)
    page.fill("#in-name", name)
    page.click("button[value=create].primary")
    page.wait_for_selector(f"h1:has-text('{name}')")
    page.evaluate("window.notReloaded = true")
    expect(page.locator("h1 .badge").first).to_have_text("ready", timeout=WITHIN)
    assert page.evaluate("window.notReloaded") is True


@pytest.mark.parametrize("device", ["desk", "phone"])
def test_a_person_rents_watches_keeps_and_stops_in_the_browser(device: str, running: Product, chromium: Browser) -> None:
    one, two, three = (f"{number}-at-the-{device}" for number in ("one", "two", "three"))
    page, complaints = listening(chromium, device)
    sign_in(page, running, "admin", running.environment["BOOTSTRAP_ADMIN_PASSWORD"])
    for name in (one, two, three):
        rent(page, running, name)

    page.goto(running.url)
    row = page.locator("tr", has_text=one)
    row.locator("details.menu summary").click()
    row.locator("button:has-text('Keep awake')").click()
    expect(page.locator(".messages")).to_contain_text(f"{one}: kept awake")

    row.locator("details.menu summary").click()
    row.locator("a:has-text('Stop')").click()
    expect(page.locator(".consequence")).to_contain_text("Saves $")
    page.click("button.main")
    expect(page.locator(".messages")).to_contain_text(f"{one}: asked to stop.")
    expect(row.locator(".badge").first).to_have_text("stopped", timeout=WITHIN)

    page.click("text=Stop all…")
    page.uncheck(f"input[aria-label='{two}']")
    page.click("text=Stop those ticked")
    expect(page.locator("tr", has_text=three).locator(".badge").first).to_have_text("stopped", timeout=WITHIN)
    expect(page.locator("tr", has_text=two).locator(".badge").first).to_have_text("ready")

    page.goto(f"{running.url}/pause")
    page.fill("input[name=reason]", "demo day")
    page.click("button.main")
    expect(page.locator(".paused")).to_contain_text("demo day")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert complaints == []
    assert running.api.put("automation", {"paused_until": None}).ok


def test_a_viewer_looks_and_is_refused(running: Product, chromium: Browser) -> None:
    ask_for(running, "looked-at")
    running.manage("shell", "-c", MAKE_VIEWER)
    page, complaints = listening(chromium, "desk")
    sign_in(page, running, "vic", "a long enough password")
    expect(page.locator("#part-rows a.name").first).to_be_visible()
    assert page.locator("details.menu, .pick, #bulk").count() == 0
    assert complaints == []
    for address in ("/create", "/stop-all", "/pause", "/sync"):
        answer = page.goto(f"{running.url}{address}")
        assert answer is not None
        assert answer.status == 403, address

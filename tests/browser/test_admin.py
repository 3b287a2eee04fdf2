"""The way in and the admin in a real browser: what a policy, a script, a theme or a narrow screen would break."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import Group, User
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from instances.models import Event, Job
from novita_manager.roles import make_role_groups
from tests.browser.conftest import PASSWORD, listening, sign_in
from tests.pages import person, running

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LIST = "/admin/instances/instance/"
ADMIN_PAGES = [
    "/admin/",
    LIST,
    "/admin/instances/event/",
    "/admin/auth/user/",
    "/admin/auth/user/add/",
    "/admin/auth/group/add/",
]


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def enter(page: Page, server: LiveServer, path: str, password: str = PASSWORD) -> None:
    page.goto(f"{server.url}{path}")
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state("networkidle")


def violations(page: Page) -> list[str]:
    found: dict[str, Any] = Axe().run(page).response
    return [f"{one['id']}: {node['target']}" for one in found["violations"] for node in one["nodes"]]


def viewer() -> User:
    make_role_groups()
    vera = person("vera", password=PASSWORD)
    vera.groups.add(Group.objects.get(name="viewer"))
    return vera


@pytest.fixture(name="dark_desk")
def _dark_desk(chromium: Browser) -> Any:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme="dark", locale="en-GB")
    yield context
    context.close()


def test_signing_in_by_keyboard_leads_where_the_person_wanted(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    page, complaints = listening(desk)
    page.goto(f"{live_server.url}{LIST}")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("ann")
    page.keyboard.press("Tab")
    page.keyboard.type("not her password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Name and password do not match.")
    expect(page.get_by_label("Password")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value("ann")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{live_server.url}{LIST}")
    assert complaints == []
    assert Event.objects.filter(type="sign_in.failed").count() == 1


@pytest.mark.parametrize("theme", ["desk", "dark_desk"])
def test_the_pages_of_the_way_in_have_no_flaw_for_anybody(
    admin: User, live_server: LiveServer, request: pytest.FixtureRequest, theme: str
) -> None:
    page, complaints = listening(request.getfixturevalue(theme))
    page.goto(f"{live_server.url}/sign-in")
    assert violations(page) == []
    enter(page, live_server, "/sign-in?next=/password", password="not hers")
    assert violations(page) == []
    enter(page, live_server, "/sign-in?next=/password")
    assert violations(page) == []
    page.get_by_label("The one you have").fill("not hers")
    page.get_by_label("A new one").fill("short")
    page.get_by_label("The new one again").fill("other")
    page.get_by_role("button", name="Change it").click()
    expect(page.locator("#old-wrong")).to_be_visible()
    assert violations(page) == []
    assert complaints == []


def test_a_stop_in_the_admin_asks_first_and_comes_back(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    running("one", at=timezone.now())
    running("two", at=timezone.now(), price="1.15")
    page, complaints = listening(desk)
    sign_in(page.context, live_server)
    page.goto(f"{live_server.url}{LIST}")
    for box in page.locator("input.action-select").all():
        box.check()
    page.locator("select[name=action]").select_option("stop")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".ask-page")).to_contain_text("Together this ends $1.50 per hour.")
    assert not Job.objects.exists()
    page.get_by_label("Why").fill("enough for today")
    page.get_by_role("button", name="Stop 2 instances").click()
    expect(page.locator("#main")).to_contain_text("2 asked to stop.")
    assert set(Job.objects.values_list("verb", "requested_by_name", "reason")) == {("stop", "ann", "enough for today")}
    assert complaints == []


def test_a_delete_on_the_page_of_an_instance_needs_its_name(
    admin: User, live_server: LiveServer, phone: BrowserContext
) -> None:
    instance = running("trainer", at=timezone.now(), local_data="precious")
    page, complaints = listening(phone)
    sign_in(page.context, live_server)
    page.goto(f"{live_server.url}{LIST}{instance.pk}/change/")
    page.get_by_role("button", name="Delete…").click()
    expect(page.locator(".ask-page")).to_contain_text("which are marked precious")
    assert overflow(page) <= 0
    page.get_by_label("Why").fill("done with it")
    page.get_by_label("Type trainer to confirm").fill("trainr")
    page.get_by_role("button", name="Delete trainer").click()
    expect(page.locator(".errorlist")).to_contain_text("Nothing was done: type trainer to confirm.")
    assert not Job.objects.exists()
    page.get_by_label("Type trainer to confirm").fill("trainer")
    page.get_by_role("button", name="Delete trainer").click()
    expect(page.locator("#main")).to_contain_text("1 asked to delete.")
    assert page.url.endswith(f"{LIST}{instance.pk}/change/")
    assert Job.objects.get().verb == "delete"
    assert complaints == []


def test_a_viewer_looks_around_and_finds_no_verb(live_server: LiveServer, desk: BrowserContext) -> None:
    viewer()
    instance = running("trainer", at=timezone.now())
    page, complaints = listening(desk)
    sign_in(desk, live_server, "vera")
    page.goto(f"{live_server.url}/admin/")
    expect(page.locator("#nav-sidebar")).not_to_contain_text("People")
    page.goto(f"{live_server.url}{LIST}")
    expect(page.locator("#result_list")).to_contain_text("trainer")
    assert page.locator("input.action-select").count() == 0
    page.goto(f"{live_server.url}{LIST}{instance.pk}/change/")
    assert page.locator(".person-verbs button").count() == 0
    assert complaints == []
    page.goto(f"{live_server.url}/admin/auth/user/")
    expect(page.locator("h1")).to_have_text("Not allowed")
    assert violations(page) == []


def test_the_admin_needs_no_sideways_scrolling_on_a_phone_and_complains_of_nothing(
    admin: User, live_server: LiveServer, phone: BrowserContext
) -> None:
    long_name = "a-name-as-long-as-names-may-be-" + "x" * 69
    instance = running(long_name, at=timezone.now(), phase_reason="an explanation without end " * 20)
    page, complaints = listening(phone)
    sign_in(phone, live_server)
    for path in (*ADMIN_PAGES, f"{LIST}{instance.pk}/change/", "/password"):
        page.goto(f"{live_server.url}{path}")
        page.wait_for_load_state("networkidle")
        assert overflow(page) <= 0, path
    assert complaints == []


def test_the_admin_follows_the_colours_of_the_system_and_the_choice_kept_in_the_browser(
    admin: User, live_server: LiveServer, dark_desk: BrowserContext
) -> None:
    page, _ = listening(dark_desk)
    sign_in(dark_desk, live_server)
    page.goto(f"{live_server.url}/admin/")
    ground = "getComputedStyle(document.querySelector('#main')).backgroundColor"
    assert page.evaluate(ground) == "rgb(26, 32, 39)"
    page.evaluate("localStorage.setItem('adminTheme', JSON.stringify('light'))")
    page.reload()
    page.wait_for_load_state("networkidle")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"

"""The pages in a real browser: what a policy, a script or a narrow screen would break."""

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from instances.alarms import raise_alarm
from instances.models import Instance, Job
from instances.operations import change_settings
from tests.browser.conftest import listening, sign_in
from tests.pages import KEY, running

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WITHIN = 15_000


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_person_signs_in_and_sees_the_fleet_without_a_complaint(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    instance = running("trainer", at=timezone.now())
    page, complaints = listening(desk)
    sign_in(page, live_server)
    expect(page.locator(f"#row-{instance.pk}")).to_contain_text("trainer")
    page.click("text=trainer")
    expect(page.locator("h1")).to_contain_text("trainer")
    for address in ("/admin/", "/admin/instances/instance/", f"/admin/instances/instance/{instance.pk}/change/"):
        page.goto(f"{live_server.url}{address}")
        page.wait_for_load_state("networkidle")
    assert complaints == []


def test_a_change_appears_without_a_reload_and_keeps_focus_and_place(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    for number in range(25):
        instance = running(f"trainer-{number}", at=timezone.now())
    page, complaints = listening(desk)
    sign_in(page, live_server)
    page.evaluate("window.notReloaded = true")
    page.focus(f"#stop-{instance.pk}")
    page.evaluate("window.scrollTo(0, 300)")

    change_settings(instance.pk, {"owner": "speech-team"}, actor=KEY, reason="", now=timezone.now())
    raise_alarm("no_metrics", "x", text="no data comes", remedy="Look at it", now=timezone.now())

    expect(page.locator(f"#row-{instance.pk}")).to_contain_text("speech-team", timeout=WITHIN)
    expect(page.locator("#part-notices")).to_contain_text("no data comes", timeout=WITHIN)
    running("newcomer", at=timezone.now())
    expect(page.locator("#part-rows")).to_contain_text("newcomer", timeout=WITHIN)
    assert page.locator("#part-rows tr").count() == 26
    assert page.evaluate("window.notReloaded") is True
    assert page.evaluate("document.activeElement.id") == f"stop-{instance.pk}"
    assert page.evaluate("window.scrollY") > 100
    assert complaints == []


def test_rows_come_in_the_order_of_the_server_whatever_came_and_went(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    rows = [running(f"trainer-{number}", at=timezone.now()) for number in range(4)]
    page, _ = listening(desk)
    sign_in(page, live_server)
    Instance.objects.filter(pk=rows[1].pk).update(ended_at=timezone.now(), phase="deleted")
    running("newest", at=timezone.now())
    expect(page.locator("#part-rows")).to_contain_text("newest", timeout=WITHIN)
    shown = page.locator("#part-rows a.name").all_inner_texts()
    assert shown == ["newest", "trainer-3", "trainer-2", "trainer-0", "trainer-1"]


def test_a_stop_button_asks_and_comes_back_to_the_fleet(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    instance = running("trainer", at=timezone.now())
    page, complaints = listening(desk)
    sign_in(page, live_server)
    page.click(f"#stop-{instance.pk}")
    expect(page.locator(".messages")).to_contain_text("trainer: asked to stop.")
    assert page.url == f"{live_server.url}/"
    assert Job.objects.get().requested_by_name == "ann"
    assert complaints == []


def test_the_page_says_when_it_can_no_longer_be_updated(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    running("trainer", at=timezone.now())
    page, _ = listening(desk)
    sign_in(page, live_server)
    page.route("**/fleet/rows", lambda route: route.abort())
    expect(page.locator("#stale")).to_contain_text("stopped updating", timeout=2 * WITHIN)
    page.unroute("**/fleet/rows")
    expect(page.locator("#stale")).to_be_hidden(timeout=WITHIN)


def test_who_was_signed_out_elsewhere_is_told_to_sign_in_again(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    page, _ = listening(desk)
    sign_in(page, live_server)
    desk.clear_cookies()
    expect(page.locator("#stale")).to_contain_text("you are signed out", timeout=2 * WITHIN)


def test_nothing_needs_sideways_scrolling_on_a_phone(admin: User, live_server: LiveServer, phone: BrowserContext) -> None:
    long_name = "a-name-as-long-as-names-may-be-" + "x" * 69
    instance = running(long_name, at=timezone.now(), phase_reason="an explanation without end " * 20)
    raise_alarm("no_metrics", "x", text="w" * 300, remedy="Look at it", now=timezone.now())
    page, complaints = listening(phone)
    sign_in(page, live_server)
    assert overflow(page) <= 0
    page.goto(f"{live_server.url}/fleet/{instance.pk}")
    assert overflow(page) <= 0
    assert complaints == []

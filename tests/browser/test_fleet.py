"""The fleet in a real browser: what a policy, a script or a narrow screen would break, and that nothing jumps meanwhile."""

from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from instances.alarms import raise_alarm
from instances.api.times import rfc3339
from instances.models import Alarm, AutomationPause, Instance, Job, ProviderAccount
from instances.operations import change_settings
from tests.browser.conftest import PASSWORD, listening, open_fleet, sign_in
from tests.pages import KEY, person, running

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WITHIN = 15_000
HOSTILE = "<script>alert(1)</script>"
RIGHT_TO_LEFT = "\u202e\u05de\u05db\u05d5\u05e0\u05d4"


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_person_signs_in_and_sees_the_fleet_without_a_complaint(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    instance = running("trainer", at=timezone.now())
    page, complaints = listening(desk)
    page.goto(live_server.url)
    page.fill("input[name=username]", "ann")
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    expect(page.locator(f"#row-{instance.pk}")).to_contain_text("trainer")
    page.click("text=trainer")
    expect(page.locator("h1")).to_contain_text("trainer")
    for address in ("/admin/", "/admin/instances/instance/", f"/admin/instances/instance/{instance.pk}/change/"):
        page.goto(f"{live_server.url}{address}")
        page.wait_for_load_state("networkidle")
    assert complaints == []


def test_a_change_appears_without_a_reload_and_keeps_focus_place_ticks_and_open_menus(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    for number in range(25):
        instance = running(f"trainer-{number}", at=timezone.now())
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    page.evaluate("window.notReloaded = true")
    page.check(f"#pick-{instance.pk}")
    page.click(f"#verbs-{instance.pk} summary")
    page.focus(f"#stop-{instance.pk}")
    page.evaluate("window.scrollTo(0, 300)")

    change_settings(instance.pk, {"owner": "speech-team"}, actor=KEY, reason="", now=timezone.now())
    raise_alarm("no_metrics", "x", text="no data comes", remedy="Look at it", now=timezone.now())

    expect(page.locator(f"#row-{instance.pk}")).to_contain_text("speech-team", timeout=WITHIN)
    expect(page.locator("#part-attention")).to_contain_text("no data comes", timeout=WITHIN)
    running("newcomer", at=timezone.now())
    expect(page.locator("#part-rows")).to_contain_text("newcomer", timeout=WITHIN)
    assert page.locator("#part-rows tr").count() == 26
    assert page.evaluate("window.notReloaded") is True
    assert page.evaluate("document.activeElement.id") == f"stop-{instance.pk}"
    assert page.evaluate("window.scrollY") > 100
    assert page.is_checked(f"#pick-{instance.pk}")
    assert page.get_attribute(f"#verbs-{instance.pk}", "open") is not None
    expect(page.locator("#bulk-count")).to_have_text("1 chosen")
    assert complaints == []


def test_what_only_grew_older_is_set_in_place_and_a_field_that_is_written_in_waits(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    now = timezone.now()
    account = ProviderAccount.objects.create(name="simulator", first_contact_at=now, complete_list_at=now)
    instance = running("trainer", at=now)
    raise_alarm("no_metrics", "x", text="as it was first", remedy="Look at it", now=now)
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    row = page.locator(f"#row-{instance.pk}")
    row.evaluate("row => row.marked = true")
    page.click(".alarms summary")
    field = page.locator(".note input").first
    field.type("I know")

    later = now + timedelta(seconds=40)
    ProviderAccount.objects.filter(pk=account.pk).update(complete_list_at=later)
    raise_alarm("no_metrics", "x", text="as it is now", remedy="Look at it", now=now)

    expect(row.locator(".read time")).to_have_attribute("datetime", rfc3339(later), timeout=WITHIN)
    assert row.evaluate("row => row.marked === true")
    expect(page.locator("#part-attention")).to_contain_text("as it was first")
    expect(field).to_have_value("I know")
    page.locator("h1").evaluate("document.activeElement.blur()")
    expect(page.locator("#part-attention")).to_contain_text("as it is now", timeout=WITHIN)
    expect(page.locator(".note input").first).to_have_value("I know")
    assert complaints == []


def test_rows_come_in_the_order_of_the_server_whatever_came_and_went(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    rows = [running(f"trainer-{number}", at=timezone.now()) for number in range(4)]
    page, _ = listening(desk)
    open_fleet(page, live_server)
    Instance.objects.filter(pk=rows[1].pk).update(ended_at=timezone.now(), phase="deleted")
    running("newest", at=timezone.now())
    expect(page.locator("#part-rows")).to_contain_text("newest", timeout=WITHIN)
    shown = page.locator("#part-rows a.name").all_inner_texts()
    assert shown == ["newest", "trainer-3", "trainer-2", "trainer-0", "trainer-1"]


def test_a_stop_says_what_it_brings_about_before_it_is_asked_for(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    instance = running("trainer", at=timezone.now())
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    page.click(f"#verbs-{instance.pk} summary")
    page.click(f"#stop-{instance.pk}")
    expect(page.locator(".consequence")).to_contain_text("Saves $0.35 per hour")
    page.fill("#reason", "lunch")
    page.click("button.main")
    expect(page.locator(".messages")).to_contain_text("trainer: asked to stop.")
    assert page.url == f"{live_server.url}/"
    job = Job.objects.get()
    assert (job.verb, job.requested_by_name, job.reason) == ("stop", "ann", "lunch")
    expect(page.locator(".messages li")).to_have_count(1)
    page.click("text=Dismiss")
    expect(page.locator(".messages li")).to_have_count(0)
    assert complaints == []


def test_a_delete_needs_the_name_typed(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    instance = running("trainer", at=timezone.now())
    page, _ = listening(desk)
    sign_in(desk, live_server)
    page.goto(f"{live_server.url}/fleet/{instance.pk}/delete?back=fleet")
    page.fill("#typed_name", "trainee")
    page.click("button.danger")
    expect(page.locator(".messages")).to_contain_text("Not deleted")
    assert not Job.objects.exists()


def test_all_are_stopped_but_for_the_one_left_out(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    kept, first, second = (running(name, at=timezone.now()) for name in ("kept", "first", "second"))
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    page.click("text=Stop all…")
    expect(page.locator("h1")).to_have_text("Stop 3 instances?")
    page.uncheck(f"#pick-{kept.pk}")
    page.click("text=Stop those ticked")
    expect(page.locator(".messages")).to_contain_text("2 of 2 asked to stop")
    assert set(Job.objects.values_list("instance_id", flat=True)) == {first.pk, second.pk}
    assert complaints == []


def test_those_ticked_are_asked_together(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    one, _, three = (running(name, at=timezone.now()) for name in ("one", "two", "three"))
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    expect(page.locator("#bulk")).to_be_hidden()
    page.check(f"#pick-{one.pk}")
    page.check(f"#pick-{three.pk}")
    expect(page.locator("#bulk-count")).to_have_text("2 chosen")
    page.click("#bulk >> text=Restart…")
    expect(page.locator("h1")).to_have_text("Restart 2 instances?")
    page.click("text=Restart those ticked")
    expect(page.locator(".messages")).to_contain_text("2 of 2 asked to restart")
    assert complaints == []


def test_automation_is_paused_and_resumed_from_any_page(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    instance = running("trainer", at=timezone.now())
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    page.click("nav >> text=Pause")
    page.fill("input[name=reason]", "demo day")
    page.click("button.main")
    expect(page.locator(".paused")).to_contain_text("demo day")
    page.goto(f"{live_server.url}/fleet/{instance.pk}")
    page.click("text=Resume now")
    expect(page.locator(".messages")).to_contain_text("Automation goes on")  # a page that is still being left has no banner
    expect(page.locator(".paused")).to_have_count(0)
    assert AutomationPause.objects.get().paused_until is None
    assert complaints == []


def test_an_alarm_is_taken_note_of_where_it_stands(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    raise_alarm("no_metrics", "x", text="no data comes", remedy="Look at it", now=timezone.now())
    alarm = Alarm.objects.get()
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    page.click("text=Take note")
    page.fill(f"#why-{alarm.pk}", "the sensor is being replaced")
    page.click(f"#note-{alarm.pk} button")
    expect(page.locator("#part-attention")).to_contain_text("Noted by ann: the sensor is being replaced")
    assert complaints == []


def test_filters_act_at_once_and_stay_while_the_page_updates(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    running("mine", at=timezone.now(), owner="vision")
    running("theirs", at=timezone.now(), owner="speech")
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    page.select_option("#owner", "speech")
    expect(page.locator("#part-rows a.name")).to_have_text(["theirs"])
    running("new", at=timezone.now(), owner="speech")
    running("other", at=timezone.now(), owner="vision")
    expect(page.locator("#part-rows a.name")).to_have_text(["new", "theirs"], timeout=WITHIN)
    assert complaints == []


def test_a_viewer_sees_everything_and_can_ask_for_nothing(
    transactional_db: None, live_server: LiveServer, desk: BrowserContext
) -> None:
    person("ann", "view_instance", password=PASSWORD)
    running("trainer", at=timezone.now())
    raise_alarm("no_metrics", "x", text="no data comes", remedy="Look at it", now=timezone.now())
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    expect(page.locator("#part-rows")).to_contain_text("trainer")
    for absent in ("#bulk", ".pick", ".menu", "text=Stop all", "text=Take note", "nav >> text=Pause"):
        assert page.locator(absent).count() == 0, absent
    assert complaints == []
    assert page.goto(f"{live_server.url}/stop-all").status == 403  # type: ignore[union-attr]


def test_the_page_says_when_it_can_no_longer_be_updated(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    running("trainer", at=timezone.now())
    page, _ = listening(desk)
    open_fleet(page, live_server)
    page.route("**/fleet/rows", lambda route: route.abort())
    expect(page.locator("#stale")).to_contain_text("stopped updating", timeout=2 * WITHIN)
    page.unroute("**/fleet/rows")
    expect(page.locator("#stale")).to_be_hidden(timeout=WITHIN)


def test_who_was_signed_out_elsewhere_is_told_to_sign_in_again(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    page, _ = listening(desk)
    open_fleet(page, live_server)
    desk.clear_cookies()
    expect(page.locator("#stale")).to_contain_text("you are signed out", timeout=2 * WITHIN)


def test_nothing_needs_sideways_scrolling_on_a_phone(admin: User, live_server: LiveServer, phone: BrowserContext) -> None:
    long_name = "a-name-as-long-as-names-may-be-" + "x" * 69
    instance = running(long_name, at=timezone.now(), phase_reason="an explanation without end " * 20, owner="W" * 100)
    running(HOSTILE, at=timezone.now(), owner=RIGHT_TO_LEFT)
    raise_alarm("no_metrics", "x", text="w" * 300, remedy="Look at it", now=timezone.now())
    page, complaints = listening(phone)
    open_fleet(page, live_server)
    assert overflow(page) <= 0
    expect(page.locator("#part-rows")).to_contain_text(HOSTILE)
    for address in (f"/fleet/{instance.pk}", f"/fleet/{instance.pk}/stop", "/stop-all", "/pause"):
        page.goto(f"{live_server.url}{address}")
        assert overflow(page) <= 0, address
    assert complaints == []


def test_a_finger_ticks_opens_and_asks_on_a_phone(admin: User, live_server: LiveServer, phone: BrowserContext) -> None:
    one = running("trainer", at=timezone.now())
    running("other", at=timezone.now())
    page, complaints = listening(phone)
    open_fleet(page, live_server)
    page.tap(f"#verbs-{one.pk} summary")
    expect(page.locator(f"#stop-{one.pk}")).to_be_visible()
    page.tap(f"#pick-{one.pk}")
    page.tap("#bulk button:has-text('Stop')")
    expect(page.locator("h1")).to_have_text("Stop 1 instance?")
    page.tap("button.main")
    expect(page.locator(".messages")).to_contain_text("1 of 1 asked to stop")
    assert Job.objects.get().instance_id == one.pk
    assert complaints == []


def test_everything_can_be_done_with_the_keyboard_alone(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    instance = running("trainer", at=timezone.now())
    page, _ = listening(desk)
    open_fleet(page, live_server)
    page.focus(f"#pick-{instance.pk}")
    page.keyboard.press("Space")
    assert page.is_checked(f"#pick-{instance.pk}")
    page.focus(f"#verbs-{instance.pk} summary")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == f"stop-{instance.pk}"
    page.keyboard.press("Escape")
    assert page.get_attribute(f"#verbs-{instance.pk}", "open") is None
    assert page.evaluate("document.activeElement.localName") == "summary"


def test_the_theme_chosen_outlives_the_page(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    for expected in ("light", "dark"):
        page.click("#theme")
        assert page.evaluate("document.documentElement.dataset.theme") == expected
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 27)"
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_pages_of_the_fleet(
    admin: User, live_server: LiveServer, chromium: Browser, scheme: str
) -> None:
    now = timezone.now()
    instance = running("trainer", at=now)
    running("failed", at=now, phase="failed", phase_reason="no offer fits")
    running("strange", at=now, managed=False, wanted="", wanted_at=None)
    raise_alarm("no_metrics", "x", text="no data comes", remedy="Look at it", now=now)
    context = chromium.new_context(color_scheme="dark" if scheme == "dark" else "light", locale="en-GB")
    page, _ = listening(context)
    open_fleet(page, live_server)
    for address in ("/", "/?q=nothing", f"/fleet/{instance.pk}/stop", "/stop-all", "/pause", "/auto-stop"):
        page.goto(f"{live_server.url}{address}")
        found = Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], address
    page.goto(f"{live_server.url}/fleet/{instance.pk}/restart?back=/")
    page.click("button.main")
    expect(page.locator(".messages")).to_contain_text("asked to restart")
    page.click(".menu summary")
    page.click(".alarms summary")
    assert Axe().run(page).response["violations"] == []
    context.close()

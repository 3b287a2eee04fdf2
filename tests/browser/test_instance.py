"""The page of one instance in a real browser: what a policy, a script or a narrow screen would break."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from instances.models import Event, Instance, Job, RunningInterval
from instances.novita.errors import Unavailable
from instances.novita.types import InstanceMetrics, LogTail, MetricPoint
from instances.operations import change_settings
from tests.browser.conftest import listening, sign_in
from tests.factories import make_job
from tests.pages import KEY, person, running

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WITHIN = 15_000
SECRET = "hunter2-value"


class Provider:
    fails = False

    def instance_metrics(self, novita_id: str, start: datetime, end: datetime) -> InstanceMetrics:
        if self.fails:
            raise Unavailable("nobody answers")
        points = tuple(MetricPoint(at=end - timedelta(seconds=15 * number), value=40.0) for number in range(20, 0, -1))
        return InstanceMetrics(gpu_avg=points, cpu=points, gpu_memory_avg=points)

    def container_log(self, address: str, *, tail_bytes: int, seconds: float) -> LogTail:
        return LogTail(text="\n".join(f"line {number}" for number in range(400)), complete=True)


@pytest.fixture(name="novita", autouse=True)
def _novita(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    cache.clear()
    found = Provider()
    monkeypatch.setattr("instances.api.live_reads.novita", lambda: found)
    yield found
    cache.clear()


def lived(name: str = "trainer", **columns: Any) -> Instance:
    """With ways in, money spent, a job and its story."""
    now = timezone.now()
    instance = running(name, at=now, envs=[{"key": "HF_TOKEN", "value": f"env-{SECRET}"}], **columns)
    machine = instance.machine
    assert machine is not None
    machine.connection = {
        "ssh": {"command": "ssh -p 33733 root@10.0.0.1", "password": f"ssh-{SECRET}"},
        "web_terminal": {"url": "http://10.0.0.1/t", "username": "root", "password": f"web-{SECRET}"},
        "logs": {"instance": "http://10.0.0.1/log"},
    }
    machine.endpoints = [{"port": 8080, "type": "http", "url": "http://10.0.0.1:8080/"}]
    machine.save(update_fields=["connection", "endpoints"])
    RunningInterval.objects.create(machine=machine, started_at=now - timedelta(hours=2), price_usd_per_hour="0.35")
    offer = {"product_name": "RTX 4090 24GB", "region": "EU-01", "billing_mode": "spot", "price_usd_per_hour": "0.18"}
    placement = {"candidates": [offer], "refused": [{**offer, "reason": "it is sold out"}]}
    make_job(instance, verb="restart", state="failed", now=now, placement=placement, error_code="x", error_detail="refused")
    Instance.objects.filter(pk=instance.pk).update(phase="ready")
    return instance


def open_page(page: Page, server: LiveServer, instance: Instance) -> None:
    sign_in(page.context, server)
    page.goto(f"{server.url}/fleet/{instance.pk}")
    page.wait_for_selector("#part-story")


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_secrets_are_revealed_in_place_copied_and_hidden_again(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    desk.grant_permissions(["clipboard-read", "clipboard-write"])
    instance = lived()
    page, complaints = listening(desk)
    open_page(page, live_server, instance)
    page.click("#part-doors .copyable button.copy >> nth=0")
    expect(page.locator("#part-doors .copyable button.copy").first).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "ssh -p 33733 root@10.0.0.1"
    assert SECRET not in page.content()

    page.click("#reveal button")
    expect(page.locator("#revealed")).to_contain_text(f"ssh-{SECRET}")
    page.click("#revealed .copyable button.copy >> nth=0")
    expect(page.locator("#revealed .copyable button.copy").first).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"ssh-{SECRET}"
    expect(page.locator("#part-story")).to_contain_text("Ann read its passwords", timeout=WITHIN)
    page.click("#hide-revealed")
    assert SECRET not in page.content()
    assert Event.objects.filter(type="instance.connection_read").count() == 1
    assert complaints == []


def test_charts_and_log_come_in_place_and_on_demand(admin: User, live_server: LiveServer, desk: BrowserContext) -> None:
    instance = lived()
    page, complaints = listening(desk)
    open_page(page, live_server, instance)
    expect(page.locator("#utilisation svg.drawing")).to_be_visible(timeout=WITHIN)
    expect(page.locator("#utilisation .legend")).to_contain_text("GPU 40 %")
    page.click("#utilisation >> text=24 h")
    expect(page.locator("#utilisation [aria-current]")).to_have_text("24 h")
    expect(page.locator("#cost svg.drawing")).to_be_visible()
    assert not Event.objects.filter(type="instance.log_read").exists()
    page.click(".log-form button")
    expect(page.locator("#log pre")).to_contain_text("line 399")
    assert page.evaluate("(() => { const log = document.querySelector('#log pre'); return log.scrollTop > 0 })()")
    assert complaints == []


def test_novita_away_is_said_where_the_chart_would_be(
    admin: User, live_server: LiveServer, desk: BrowserContext, novita: Provider
) -> None:
    novita.fails = True
    instance = lived()
    page, _ = listening(desk)
    open_page(page, live_server, instance)
    expect(page.locator("#utilisation")).to_contain_text("Novita gives no answer", timeout=WITHIN)
    expect(page.locator("#part-why")).to_contain_text("Running, by key demo")


def test_a_verb_is_asked_with_its_reason_and_what_is_typed_outlives_a_change(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    instance = lived()
    page, complaints = listening(desk)
    open_page(page, live_server, instance)
    page.click("#verb-stop summary")
    expect(page.locator("#verb-stop")).to_contain_text("Saves $0.35 per hour")
    page.fill("#in-stop-why", "enough for today")
    change_settings(instance.pk, {"owner": "speech-team"}, actor=KEY, reason="", now=timezone.now())
    expect(page.locator("#part-facts")).to_contain_text("speech-team", timeout=WITHIN)
    assert page.input_value("#in-stop-why") == "enough for today"
    page.press("#in-stop-why", "Enter")
    expect(page.locator(".messages")).to_contain_text("trainer: asked to stop.")
    job = Job.objects.get(verb="stop")
    assert (job.requested_by_name, job.reason) == ("ann", "enough for today")
    assert complaints == []


def test_enter_in_the_typed_name_deletes_and_nothing_else(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    instance = lived()
    page, complaints = listening(desk)
    open_page(page, live_server, instance)
    page.click("#verb-delete summary")
    page.fill("#in-delete-typed", "trainer")
    page.press("#in-delete-typed", "Enter")
    expect(page.locator(".messages")).to_contain_text("trainer: asked to delete.")
    assert list(Job.objects.exclude(verb="restart").values_list("verb", flat=True)) == ["delete"]
    assert complaints == []


def test_settings_are_changed_and_a_refusal_is_linked_to_its_field(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    instance = lived()
    page, complaints = listening(desk)
    open_page(page, live_server, instance)
    page.click("#part-settings >> text=Change")
    page.fill("#in-auto_stop_threshold", "20")
    page.press("#in-auto_stop_threshold", "Enter")
    expect(page.locator(".wrongs")).to_contain_text("Write a duration such as")
    page.click(".wrongs a")
    assert page.evaluate("document.activeElement.id") == "in-auto_stop_threshold"
    page.fill("#in-auto_stop_threshold", "45m")
    page.click("button.primary")
    expect(page.locator(".messages")).to_contain_text("trainer: settings saved.")
    expect(page.locator("#part-settings")).to_contain_text("after 45m idle")
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_has_no_barrier_and_needs_no_sideways_scrolling(
    admin: User, live_server: LiveServer, chromium: Browser, scheme: Any, width: int
) -> None:
    hostile = "\u202e" + "w" * 98 + "!"
    instance = lived(hostile, owner="o" * 200, labels={"x" * 60: "y" * 200}, phase_reason="an explanation " * 40)
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce", locale="en-GB"
    )
    page, complaints = listening(context)
    open_page(page, live_server, instance)
    page.locator("#utilisation").scroll_into_view_if_needed()
    expect(page.locator("#utilisation svg.drawing")).to_be_visible(timeout=WITHIN)
    page.click("#reveal button")
    expect(page.locator("#revealed")).to_contain_text(SECRET)
    page.click(".log-form button")
    expect(page.locator("#log pre")).to_be_visible()
    for summary in page.locator("details summary").all():
        summary.click()
    assert overflow(page) <= 0
    assert barriers(page) == []
    page.goto(f"{live_server.url}/fleet/{instance.pk}/settings")
    assert overflow(page) <= 0
    assert barriers(page) == []
    assert complaints == []
    context.close()


def barriers(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'][:160] for node in one['nodes']][:3]}" for one in found]


def signed_in_without_script(chromium: Browser, server: LiveServer) -> BrowserContext:
    context = chromium.new_context(java_script_enabled=False)
    sign_in(context, server)
    return context


def test_without_script_every_part_is_a_page(admin: User, live_server: LiveServer, chromium: Browser) -> None:
    instance = lived()
    context = signed_in_without_script(chromium, live_server)
    page = context.new_page()
    page.goto(f"{live_server.url}/fleet/{instance.pk}")
    page.click("text=Ask Novita how busy it is")
    expect(page.locator("h1")).to_have_text("Utilisation")
    expect(page.locator("svg.drawing")).to_be_visible()
    page.click("nav.back >> text=trainer")
    page.click("#reveal button")
    expect(page.locator("h1")).to_have_text("Passwords and environment")
    expect(page.locator("main")).to_contain_text(SECRET)
    page.go_back()
    page.click("#verb-restart summary")
    page.click("#do-restart")
    expect(page.locator(".messages")).to_contain_text("trainer: asked to restart.")
    context.close()


def test_a_viewer_is_shown_no_way_to_what_is_not_theirs(live_server: LiveServer, desk: BrowserContext, db: None) -> None:
    person("ann", "view_instance", password="a long enough password")
    instance = lived()
    page, complaints = listening(desk)
    open_page(page, live_server, instance)
    expect(page.locator("#part-verbs")).to_contain_text("Your account may look")
    assert page.locator("#reveal").count() == 0
    assert complaints == []

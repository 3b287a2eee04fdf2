"""The create page in a real browser: offers while the form is filled in, then the instance's page up to ready."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, expect
from pytest_django.live_server_helper import LiveServer

from instances.models import Instance
from tests.browser.conftest import listening, open_fleet, sign_in
from tests.browser.test_instance import barriers, overflow, signed_in_without_script
from tests.factories import make_account, make_offer, make_template

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WITHIN = 15_000


@pytest.fixture(autouse=True)
def shelf(transactional_db: None) -> None:
    now = timezone.now()
    make_account(now=now, balance_usd=Decimal("43.75"))
    make_offer(region="CN-HK-01", spot="0.20", on_demand="0.39", now=now)
    make_offer(region="EU-01", spot="0.18", on_demand="0.35", inventory="low", now=now)
    make_offer(product_name="H200 SXM 141GB", region="EU-01", spot=None, on_demand="3.25", inventory="none", now=now)
    make_template("100", name="PyTorch", now=now)


def test_a_person_creates_and_watches_it_to_ready_without_a_reload(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    page, complaints = listening(desk)
    open_fleet(page, live_server)
    page.click("text=New instance")
    page.check("input[value='RTX 4090 24GB']")
    expect(page.locator("#preview .price")).to_contain_text("$0.20 per hour, $4.80 per day", timeout=WITHIN)
    expect(page.locator("#preview .money")).to_contain_text("Your balance of $43.75 lasts")
    page.fill("#in-max_price_usd_per_hour", "0.19")
    expect(page.locator("#preview .price")).to_contain_text("$0.18", timeout=WITHIN)
    expect(page.locator("#preview")).to_contain_text("Left out: 1")
    page.select_option("#in-template_id", "100")
    page.fill("#in-name", "train-1")
    page.click("button[value=create].primary")
    expect(page.locator("h1")).to_contain_text("train-1")
    expect(page.locator(".messages")).to_contain_text("asked for")
    expect(page.locator("#part-head .badge").first).to_have_text("requested")
    page.evaluate("window.notReloaded = true")
    Instance.objects.update(phase="ready", phase_reason="port 8888 answers HTTP 200")
    expect(page.locator("#part-head .badge").first).to_have_text("ready", timeout=WITHIN)
    assert page.evaluate("window.notReloaded") is True
    assert complaints == []


def test_the_keyboard_alone_creates_and_enter_only_previews(
    admin: User, live_server: LiveServer, desk: BrowserContext
) -> None:
    page, complaints = listening(desk)
    sign_in(page.context, live_server)
    page.goto(f"{live_server.url}/create")
    page.focus("#in-product_name")
    page.keyboard.press("Space")
    page.select_option("#in-template_id", "100")
    page.focus("#in-name")
    page.keyboard.press("Enter")
    expect(page.locator("#preview .price")).to_be_visible(timeout=WITHIN)
    assert not Instance.objects.exists()
    page.focus("button[value=create].primary")
    page.keyboard.press("Enter")
    expect(page.locator(".messages")).to_contain_text("asked for")
    assert complaints == []


def test_without_script_the_preview_is_a_button_away(admin: User, live_server: LiveServer, chromium: Browser) -> None:
    context = signed_in_without_script(chromium, live_server)
    page = context.new_page()
    page.goto(f"{live_server.url}/create")
    page.check("input[value='RTX 4090 24GB']")
    page.select_option("#in-template_id", "100")
    page.click("#do-preview")
    expect(page.locator(".price")).to_contain_text("$0.20 per hour")
    page.click("button[value=create].primary")
    expect(page.locator(".messages")).to_contain_text("asked for")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_has_no_barrier_and_needs_no_sideways_scrolling(
    admin: User, live_server: LiveServer, chromium: Browser, scheme: Any, width: int
) -> None:
    make_template("w" * 60, name="\u202e" + "w" * 100, now=timezone.now())
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce", locale="en-GB"
    )
    page, complaints = listening(context)
    sign_in(page.context, live_server)
    page.goto(f"{live_server.url}/create")
    assert barriers(page) == []
    page.check("input[value='RTX 4090 24GB']")
    page.fill("#in-max_price_usd_per_hour", "0.19")
    page.fill("#in-name", "w" * 101)
    page.fill("#in-envs", "nothing")
    expect(page.locator("#preview")).to_contain_text("At most 100 characters", timeout=WITHIN)
    page.click("button[value=create].primary")
    expect(page.locator(".wrongs")).to_contain_text("Nothing was created")
    page.fill("#in-name", "w" * 100)
    expect(page.locator("#preview .left-out")).to_be_visible(timeout=WITHIN)
    for summary in page.locator("details summary").all():
        summary.click()
    expect(page.locator("#preview[aria-busy]")).to_have_count(0)
    assert overflow(page) <= 0
    assert barriers(page) == []
    assert complaints == []
    context.close()

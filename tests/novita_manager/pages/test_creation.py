import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from instances import provider
from instances.models import Cluster, Event, Instance, Job, Machine
from novita_manager.pages.creation_preview import balance_words
from tests.factories import make_account, make_offer, make_template
from tests.pages import person, running, signed_in

pytestmark = pytest.mark.django_db

CREATE_QUERIES = 22


class NoProvider:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the provider's {name} was reached")


@pytest.fixture(autouse=True)
def nobody_calls_novita(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert get_resolver().url_patterns  # so that no module is imported, and keeps it, while it is patched
    refused = NoProvider()
    monkeypatch.setattr(provider, "novita", lambda: refused)
    monkeypatch.setattr("instances.api.creation.novita", lambda: refused)
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(name="ann")
def _ann() -> Client:
    return signed_in(person("ann", superuser=True))


@pytest.fixture(name="shelf")
def _shelf() -> None:
    """A 4090 in two regions, one sold-out model, a template."""
    now = timezone.now()
    make_offer(region="CN-HK-01", spot="0.20", on_demand="0.39", now=now)
    make_offer(region="EU-01", spot="0.18", on_demand="0.35", inventory="low", now=now)
    make_offer(product_name="H200 SXM 141GB", region="EU-01", spot=None, on_demand="3.25", inventory="none", now=now)
    make_template("100", name="PyTorch", now=now)


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def typed(**changes: str | list[str]) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": "train-1",
        "product_name": "RTX 4090 24GB",
        "gpu_num": "1",
        "billing_mode": "spot",
        "source": "template",
        "template_id": "100",
        "auto_stop_mode": "enforce",
        "health_check": "any",
        "on_startup_timeout": "alarm",
        "do": "create",
    }
    return plain | changes


def test_the_page_is_for_who_may_create(shelf: None) -> None:
    assert Client().get("/create").status_code == 302
    operator = signed_in(person("oli", "view_instance", "change_instance"))
    assert operator.get("/create").status_code == 403
    assert operator.post("/create", typed()).status_code == 403
    assert operator.post("/create/preview", typed()).status_code == 403
    assert "New instance" not in text_of(operator.get("/"))
    assert not Instance.objects.exists()


def test_the_page_lists_models_with_their_best_prices_and_proposes_a_name(ann: Client, shelf: None) -> None:
    running("ann-1", at=timezone.now())
    shown = text_of(ann.get("/create"))
    assert shown.index("RTX 4090 24GB") < shown.index("H200 SXM 141GB")
    assert "$0.18 <small>spot" in shown
    assert "sold out" in shown
    assert "2 regions" in shown
    assert 'value="ann-2"' in shown
    assert "PyTorch (docker.io/library/busybox:1)" in shown
    assert "Choose a GPU to see" in shown


def test_a_preview_ranks_offers_tells_the_money_and_why_others_were_left_out(ann: Client, shelf: None) -> None:
    make_account(now=timezone.now(), balance_usd=Decimal("43.75"))
    running("other", at=timezone.now(), price="0.35")
    shown = text_of(ann.post("/create", typed(do="preview", max_price_usd_per_hour="0.19")))
    assert "<strong>$0.18</strong> per hour, $4.32 per day" in shown
    assert "Your balance of $43.75 lasts 3 d 10 h with it; without it 5 d 5 h, at the present $0.35 per hour." in shown
    assert "Left out: 1" in shown
    assert "$0.2 per hour is above the cap of $0.19" in shown
    assert 'value="0.19"' in shown
    assert not Instance.objects.filter(name="train-1").exists()


def test_a_preview_for_the_script_needs_nothing_but_a_gpu(ann: Client, shelf: None) -> None:
    shown = text_of(ann.post("/create/preview", {"product_name": "RTX 4090 24GB", "gpu_num": "2"}))
    assert "<html" not in shown
    assert "<strong>$0.40</strong> per hour" in shown
    assert "Choose a GPU" in text_of(ann.post("/create/preview", {"gpu_num": "2"}))


def test_a_create_makes_the_instance_the_api_would_make_and_leads_to_its_page(ann: Client, shelf: None) -> None:
    response = ann.post(
        "/create",
        typed(
            gpu_num="2",
            regions=["EU-01"],
            rootfs_size_gb="100",
            ports="8080, 22/tcp",
            envs="HF_TOKEN=hunter2=x\nMODE=fast",
            labels="team=vision",
            protected="on",
            fallback_to_on_demand="on",
            max_price_usd_per_hour="1.5",
            auto_stop_threshold="45m",
            wait_for_capacity="2h",
            local_data="precious",
            health_check="http 8080 /health",
        ),
        follow=True,
    )
    made = Instance.objects.get()
    assert response.redirect_chain == [(f"/fleet/{made.pk}", 302)]
    assert "train-1: asked for. This page follows it until it is ready." in text_of(response)
    assert (made.name, made.product_name, made.gpu_num, made.rootfs_size_gb) == ("train-1", "RTX 4090 24GB", 2, 100)
    assert (made.regions, made.billing_mode, made.template_id) == (["EU-01"], "spot", "100")
    assert made.ports == [{"port": 8080, "type": "http"}, {"port": 22, "type": "tcp"}]
    assert {"key": "HF_TOKEN", "value": "hunter2=x"} in made.envs
    assert (made.owner, made.labels, made.protected, made.local_data) == ("ann", {"team": "vision"}, True, "precious")
    assert (made.max_price_usd_per_hour, made.fallback_to_on_demand) == (Decimal("1.5"), True)
    assert (made.auto_stop_threshold, made.wait_for_capacity) == (timedelta(minutes=45), timedelta(hours=2))
    assert made.health_check == {"http": {"port": 8080, "path": "/health", "status": 200}}
    job = Job.objects.get()
    assert (job.verb, job.requested_by_kind, job.requested_by_name) == ("create", "user", "ann")
    assert Event.objects.get(type="instance.requested").actor_name == "ann"


def test_an_image_takes_the_place_of_a_template(ann: Client, shelf: None) -> None:
    ann.post("/create", typed(source="image", image_url="docker.io/me/it:1"))
    made = Instance.objects.get()
    assert (made.template_id, made.image_url) == ("", "docker.io/me/it:1")


def test_a_second_click_creates_nothing_more(ann: Client, shelf: None) -> None:
    ann.post("/create", typed())
    shown = text_of(ann.post("/create", typed()))
    assert "Nothing was created." in shown
    assert "choose another name" in shown
    assert Instance.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "two words"}, "Only letters, digits, -, _ and . are possible"),
        ({"name": ""}, "This field is required"),
        ({"product_name": ""}, "Write product_name or product_id: one of them is needed"),
        ({"product_name": "RTX 9090"}, "Novita has no product &#x27;RTX 9090&#x27;"),
        ({"template_id": ""}, "Write image_url or template_id: one of them is needed"),
        ({"regions": ["MARS-01"]}, "Novita has no region MARS-01"),
        ({"gpu_num": "99"}, "At most 8 is possible"),
        ({"rootfs_size_gb": "much"}, "Write a whole number"),
        ({"ports": "2222"}, "Novita keeps the ports 2222 to 2224 for itself"),
        ({"ports": "80/udp"}, "Write one of http, tcp"),
        ({"envs": "nothing"}, "Write each on a line of its own, as NAME=value"),
        ({"envs": "A=1\nA=2"}, "A is named twice"),
        ({"max_price_usd_per_hour": "0.01"}, "the cheapest offer"),
        ({"product_name": "H200 SXM 141GB", "billing_mode": "on_demand"}, "No GPU is free for it now"),
        ({"auto_stop_threshold": "20"}, "Write a duration such as"),
        ({"stop_at": "2020-01-01T00:00"}, "Write a time that is yet to come"),
        ({"health_check": "tcp 9"}, "Port 9 is not among the exposed ports"),
    ],
)
def test_what_the_api_refuses_is_refused_in_its_words_and_nothing_typed_is_lost(
    ann: Client, shelf: None, changes: dict[str, Any], told: str
) -> None:
    response = ann.post("/create", typed(**{"labels": "kept=yes", **changes}))
    shown = text_of(response)
    assert response.status_code == 200
    assert "Nothing was created." in shown
    assert told.casefold() in shown.casefold()
    assert "kept=yes" in shown
    assert not Instance.objects.exists()


def test_no_free_gpu_is_waited_for_where_the_person_says_so(ann: Client, shelf: None) -> None:
    wish = typed(product_name="H200 SXM 141GB", billing_mode="on_demand", wait_for_capacity="2h")
    assert "It would wait for up to 2 h" in text_of(ann.post("/create", wish | {"do": "preview"}))
    ann.post("/create", wish)
    assert Instance.objects.get().wait_for_capacity == timedelta(hours=2)


def test_without_a_catalogue_a_gpu_is_named_by_hand_and_the_job_decides(ann: Client) -> None:
    make_template("100", now=timezone.now())
    shown = text_of(ann.get("/create"))
    assert "products have not been read yet" in shown
    assert 'id="in-product_name"' in shown
    assert "products have not been read yet" in text_of(ann.post("/create", typed(do="preview")))
    ann.post("/create", typed())
    assert Instance.objects.get().product_name == "RTX 4090 24GB"


def test_old_prices_and_a_low_balance_are_said_before_anything_is_asked(ann: Client, shelf: None, settings: Any) -> None:
    settings.MIN_BALANCE_USD = Decimal(5)
    make_account(now=timezone.now(), balance_usd=Decimal("1.20"))
    Cluster.objects.update(refreshed_at=timezone.now() - timedelta(hours=2))
    shown = text_of(ann.get("/create"))
    assert "Prices and stock are from" in shown
    assert "A create would fail now:</strong> the balance is $1.20, and MIN_BALANCE_USD is $5.00" in shown


def test_what_comes_from_outside_is_shown_as_text(ann: Client, shelf: None) -> None:
    hostile = "<script>alert(1)</script>"
    make_template("666", name=hostile, image_url=hostile, now=timezone.now())
    for response in (ann.get("/create"), ann.post("/create", typed(name=hostile, labels=hostile, product_name=hostile))):
        assert b"<script>alert" not in response.content
        assert "unsafe" not in response["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]* src=)|<style| style=", response.content.decode())


def test_the_page_and_its_preview_need_a_bounded_number_of_queries(
    ann: Client, shelf: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        make_offer(product_name=f"GPU {number}", region="EU-01", now=timezone.now())
    with django_assert_max_num_queries(CREATE_QUERIES):
        ann.get("/create")
    with django_assert_max_num_queries(CREATE_QUERIES):
        ann.post("/create/preview", typed())


def test_a_create_from_elsewhere_is_refused(shelf: None) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person("ann", superuser=True))
    assert strict.post("/create", typed()).status_code == 403
    assert not Machine.objects.exists()


@pytest.mark.parametrize(
    ("balance", "burn", "price", "told"),
    [
        ("24", "0", "1", "Your balance of $24.00 lasts 1 d with it."),
        ("0", "1", "1", "Your balance of $0.00 pays for nothing more."),
        ("-3", "1", "1", "Your balance of $-3.00 pays for nothing more."),
        ("24", "1", "1", "Your balance of $24.00 lasts 12 h with it; without it 1 d, at the present $1.00 per hour."),
        ("9999999", "0", "0.01", "Your balance of $9,999,999.00 lasts ten years and more with it."),
    ],
)
def test_how_long_the_balance_lasts_is_told_with_and_without_it(balance: str, burn: str, price: str, told: str) -> None:
    assert balance_words(Decimal(balance), Decimal(burn), Decimal(price)) == told

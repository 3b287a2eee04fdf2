from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from instances import catalogue
from instances.models import Alarm, Cluster, NetworkStorage, Offer, PeriodicWork, Template
from instances.novita import types
from instances.novita.errors import NovitaError, Unavailable
from tests.instances.catalogue_source import LATER, NOW, Novita, cluster, product, template

pytestmark = pytest.mark.django_db


def test_a_refresh_asks_once_per_cluster_and_once_for_each_list() -> None:
    source = Novita()
    report = catalogue.refresh(source, now=NOW)
    assert report.ok
    assert sorted(source.calls) == [
        "clusters",
        "products hk 1",
        "products us 1",
        "storages",
        "templates official False",
        "templates private True",
    ]
    assert Cluster.objects.count() == 2
    assert Offer.objects.count() == 2


def test_a_refresh_stores_what_an_offer_says() -> None:
    catalogue.refresh(Novita(products={"us": [product()]}), now=NOW)
    (offer,) = catalogue.offers_for()
    assert (offer.product_id, offer.product_name, offer.cluster_id, offer.region) == (
        "4090.16c",
        "RTX 4090 24GB",
        "us",
        "US-01",
    )
    assert offer.on_demand_usd_per_gpu_hour == Decimal("0.67")
    assert offer.spot_usd_per_gpu_hour == Decimal("0.35")
    assert (offer.min_rootfs_gb, offer.max_rootfs_gb, offer.available, offer.inventory) == (10, 6144, True, "normal")


@pytest.mark.parametrize(
    ("changes", "on_demand", "spot"),
    [
        ({"billing_modes": ("on_demand",)}, "0.67", None),
        ({"billing_modes": ("spot",)}, None, "0.35"),
        ({"billing_modes": ()}, "0.67", "0.35"),
        ({"spot_price_usd_per_gpu_hour": None}, "0.67", None),
        ({"price_usd_per_gpu_hour": Decimal(0)}, None, "0.35"),
    ],
)
def test_a_price_is_stored_only_where_it_is_sold_so(
    changes: dict[str, Any], on_demand: str | None, spot: str | None
) -> None:
    catalogue.refresh(Novita(products={"us": [product(**changes)]}), now=NOW)
    (offer,) = catalogue.offers_for()
    assert offer.on_demand_usd_per_gpu_hour == (Decimal(on_demand) if on_demand else None)
    assert offer.spot_usd_per_gpu_hour == (Decimal(spot) if spot else None)


def test_a_product_that_names_other_clusters_is_not_offered_here() -> None:
    catalogue.refresh(
        Novita(products={"us": [product(regions=("EU-01",)), product("b", regions=("US-01 (Dallas)",))]}), now=NOW
    )
    assert [one.product_id for one in catalogue.offers_for()] == ["b"]


def test_unchanged_rows_are_not_written() -> None:
    source = Novita()
    assert catalogue.refresh(source, now=NOW).written > 0
    report = catalogue.refresh(source, now=LATER)
    assert (report.written, report.removed) == (0, 0)
    assert set(Offer.objects.values_list("refreshed_at", flat=True)) == {NOW}
    assert set(Cluster.objects.values_list("refreshed_at", flat=True)) == {LATER}


def test_one_changed_price_is_one_written_row() -> None:
    source = Novita()
    catalogue.refresh(source, now=NOW)
    source.products["us"] = [product(spot_price_usd_per_gpu_hour=Decimal("0.30"))]
    report = catalogue.refresh(source, now=LATER)
    assert report.written == 1
    assert Offer.objects.get(cluster_id="us").spot_usd_per_gpu_hour == Decimal("0.30")


def test_vanished_offers_templates_storages_and_clusters_are_removed() -> None:
    storage = types.NetworkStorage(id="s", name="data", size_gb=10, cluster_id="hk", cluster_name="CN-HK-01")
    source = Novita(storages=[storage])
    catalogue.refresh(source, now=NOW)
    source.clusters = [cluster("us", "US-01 (Dallas)")]
    source.products, source.templates, source.storages = {"us": [product("other")]}, {}, []
    catalogue.refresh(source, now=LATER)
    assert [(one.cluster_id, one.product_id) for one in catalogue.offers_for()] == [("us", "other")]
    assert not Template.objects.exists()
    assert not NetworkStorage.objects.exists()
    assert catalogue.known_regions() == ("US-01",)


@pytest.mark.parametrize(
    ("failing", "named"),
    [
        ("clusters", "clusters"),
        ("products hk 1", "products of CN-HK-01"),
        ("templates official False", "official templates"),
        ("storages", "network storages"),
    ],
)
def test_a_part_that_fails_keeps_its_old_rows_and_is_named(failing: str, named: str) -> None:
    storage = types.NetworkStorage(id="s", name="data", size_gb=10, cluster_id="hk", cluster_name="CN-HK-01")
    source = Novita(storages=[storage])
    catalogue.refresh(source, now=NOW)
    source.errors[failing] = Unavailable("gone for lunch")
    report = catalogue.refresh(source, now=LATER)
    assert not report.ok
    assert named in str(report)
    assert report.removed == 0
    assert (Cluster.objects.count(), Offer.objects.count()) == (2, 2)
    assert (Template.objects.count(), NetworkStorage.objects.count()) == (1, 1)


def test_a_failing_cluster_does_not_keep_the_others_old() -> None:
    source = Novita()
    catalogue.refresh(source, now=NOW)
    source.errors["products hk 1"] = Unavailable("")
    source.products["us"] = [product(inventory="low")]
    catalogue.refresh(source, now=LATER)
    assert {one.cluster_id: one.inventory for one in catalogue.offers_for()} == {"hk": "normal", "us": "low"}


def test_three_failures_in_a_row_end_the_asking() -> None:
    clusters = [cluster(str(number), f"EU-{number:02}") for number in range(6)]
    errors: dict[str, NovitaError] = {f"products {number} 1": Unavailable("") for number in range(6)}
    source = Novita(clusters=clusters, errors=errors)
    report = catalogue.refresh(source, now=NOW)
    assert len([call for call in source.calls if call.startswith("products")]) == 3
    assert "the other clusters were not asked" in report.problems


def test_an_empty_list_of_clusters_removes_nothing() -> None:
    source = Novita()
    catalogue.refresh(source, now=NOW)
    source.clusters = []
    report = catalogue.refresh(source, now=LATER)
    assert not report.ok
    assert Cluster.objects.count() == 2


def test_what_a_column_cannot_hold_is_left_out_and_named() -> None:
    source = Novita(
        products={"us": [product("x" * 300), product("fits")]}, templates={"official": [template(image="i" * 501)]}
    )
    report = catalogue.refresh(source, now=NOW)
    assert [one.product_id for one in catalogue.offers_for()] == ["fits"]
    assert not Template.objects.exists()
    assert "product_id" in str(report)
    assert "image_url" in str(report)


def test_a_product_listed_twice_is_one_offer() -> None:
    catalogue.refresh(Novita(products={"us": [product(), product()]}), now=NOW)
    assert Offer.objects.count() == 1


def test_the_catalogue_is_loaded_once_every_cluster_was_read() -> None:
    source = Novita(errors={"products hk 1": Unavailable("")})
    assert not catalogue.is_loaded()
    catalogue.refresh(source, now=NOW)
    assert not catalogue.is_loaded()
    source.errors.clear()
    catalogue.refresh(source, now=LATER)
    assert catalogue.is_loaded()
    source.errors["products hk 1"] = Unavailable("")
    catalogue.refresh(source, now=LATER)
    assert catalogue.is_loaded()


def test_the_pass_reads_every_five_minutes_and_sooner_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Novita()
    monkeypatch.setattr(catalogue, "novita", lambda: source)

    catalogue.refresh_if_due(NOW)
    catalogue.refresh_if_due(NOW + timedelta(minutes=4, seconds=59))
    assert source.calls.count("clusters") == 1
    source.errors["storages"] = Unavailable("")
    catalogue.refresh_if_due(NOW + timedelta(minutes=5))
    assert source.calls.count("clusters") == 2
    work = PeriodicWork.objects.get(name="catalogue")
    assert "network storages" in work.detail
    assert work.succeeded_at == NOW
    catalogue.refresh_if_due(NOW + timedelta(minutes=5, seconds=30))
    assert source.calls.count("clusters") == 3


def test_a_default_region_that_novita_does_not_have_is_an_alarm_until_it_has(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    source = Novita()
    monkeypatch.setattr(catalogue, "novita", lambda: source)
    settings.DEFAULT_REGION = "EU-01"
    catalogue.refresh_if_due(NOW)
    alarm = Alarm.objects.get(kind="default_region")
    assert "CN-HK-01, US-01" in alarm.text
    source.clusters.append(cluster("eu", "EU-01"))
    catalogue.refresh_if_due(LATER)
    alarm.refresh_from_db()
    assert alarm.cleared_at == LATER

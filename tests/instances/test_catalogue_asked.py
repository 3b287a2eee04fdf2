from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances import catalogue
from instances.models import NetworkStorage, Offer, PeriodicWork, Template
from instances.novita.errors import AuthFailed, InvalidRequest, Unavailable
from instances.operations.wishes import InstanceSpec
from instances.placement import Wish
from tests.instances.catalogue_source import LATER, NOW, Novita, cluster, product, template

pytestmark = pytest.mark.django_db


def test_all_offers_are_one_query() -> None:
    catalogue.refresh(Novita(), now=NOW)
    with CaptureQueriesContext(connection) as queries:
        assert len(catalogue.offers_for()) == 2
    assert len(queries) == 1


def test_offers_can_be_narrowed_to_a_product_and_to_clusters() -> None:
    catalogue.refresh(Novita(products={"us": [product(), product("b")], "hk": [product("b")]}), now=NOW)
    assert {one.cluster_id for one in catalogue.offers_for(product_id="b")} == {"us", "hk"}
    assert {one.product_id for one in catalogue.offers_for(cluster_ids=["us"])} == {"4090.16c", "b"}


WISH = Wish(product_name="RTX 4090", gpu_num=4, default_region="CN-HK-01")


def test_fresh_offers_before_the_first_reading_say_so_and_ask_for_it() -> None:
    PeriodicWork.objects.create(name="catalogue", next_due_at=LATER)
    with pytest.raises(catalogue.CatalogueNotLoaded):
        catalogue.fresh_offers(Novita(), wish=WISH, gpu_num=4, now=NOW)
    assert PeriodicWork.objects.get().next_due_at == NOW


def test_fresh_offers_ask_for_the_gpu_count_once_a_minute() -> None:
    source = Novita()
    catalogue.refresh(source, now=NOW)
    source.calls.clear()
    source.products["hk"] = [product(available=False)]

    for seconds in (0, 30, 59):
        offers = catalogue.fresh_offers(source, wish=WISH, gpu_num=4, now=NOW + timedelta(seconds=seconds))

    assert source.calls == ["products hk 4", "products us 4"]
    assert {one.cluster_id: one.available for one in offers} == {"hk": False, "us": True}
    assert Offer.objects.get(cluster_id="hk").available
    catalogue.fresh_offers(source, wish=WISH, gpu_num=4, now=NOW + timedelta(seconds=60))
    assert source.calls == ["products hk 4", "products us 4"] * 2


def test_fresh_offers_for_one_gpu_trust_a_reading_of_the_last_minute() -> None:
    source = Novita()
    catalogue.refresh(source, now=NOW)
    source.calls.clear()
    catalogue.fresh_offers(source, wish=replace(WISH, gpu_num=1), gpu_num=1, now=NOW + timedelta(seconds=59))
    assert source.calls == []
    catalogue.fresh_offers(source, wish=replace(WISH, gpu_num=1), gpu_num=1, now=NOW + timedelta(seconds=60))
    assert source.calls == ["products hk 1", "products us 1"]


def test_fresh_offers_ask_the_best_clusters_only() -> None:
    keys = [str(number) for number in range(6)]
    products = {key: [product(spot_price_usd_per_gpu_hour=Decimal(int(key) + 1))] for key in keys}
    source = Novita(clusters=[cluster(key, f"EU-0{key}") for key in keys], products=products)
    catalogue.refresh(source, now=NOW)
    source.calls.clear()
    assert len(catalogue.fresh_offers(source, wish=WISH, gpu_num=4, now=LATER)) == 6
    assert source.calls == ["products 0 4", "products 1 4", "products 2 4"]


def test_fresh_offers_ask_again_where_all_was_sold_out() -> None:
    source = Novita(products={"hk": [product(available=False)]})
    catalogue.refresh(source, now=NOW)
    source.products["hk"] = [product()]
    offers = catalogue.fresh_offers(source, wish=WISH, gpu_num=4, now=LATER)
    assert [one.available for one in offers] == [True]


def test_fresh_offers_keep_the_stored_ones_of_a_cluster_that_does_not_answer() -> None:
    source = Novita()
    catalogue.refresh(source, now=NOW)
    source.errors["products hk 4"] = Unavailable("")
    offers = catalogue.fresh_offers(source, wish=WISH, gpu_num=4, now=LATER)
    assert {one.cluster_id for one in offers} == {"hk", "us"}


def test_a_listed_template_is_known_without_asking() -> None:
    source = Novita()
    catalogue.refresh(source, now=NOW)
    source.calls.clear()
    row = catalogue.template_by_id("100", client=source, now=NOW)
    assert row is not None
    assert (row.channel, row.listed) == ("official", True)
    assert source.calls == []


def test_a_community_template_is_asked_for_the_first_time_only_and_survives_a_refresh() -> None:
    source = Novita(community={"20411": template("20411", channel="community")})
    for _ in range(2):
        row = catalogue.template_by_id("20411", client=source, now=NOW)
        assert row is not None
        assert (row.channel, row.listed) == ("community", False)
        catalogue.refresh(source, now=LATER)
    assert source.calls.count("template 20411") == 1


def test_an_unknown_template_is_none() -> None:
    assert catalogue.template_by_id("1", client=Novita(), now=NOW) is None
    private = Novita(errors={"template 1": InvalidRequest("TEMPLATE_IS_PRIVATE")})
    assert catalogue.template_by_id("1", client=private, now=NOW) is None


def test_without_a_client_an_unlisted_template_is_none() -> None:
    assert catalogue.template_by_id("20411", now=NOW) is None


def test_no_answer_about_a_template_is_not_taken_for_its_absence() -> None:
    with pytest.raises(AuthFailed):
        catalogue.template_by_id("1", client=Novita(errors={"template 1": AuthFailed("no")}), now=NOW)


def stored_template() -> Template:
    catalogue.refresh(Novita(), now=NOW)
    return Template.objects.get(pk="100")


def test_all_fields_of_a_template_are_used() -> None:
    assert catalogue.resolve_template(stored_template(), {}) == {
        "image_url": "pytorch/pytorch:2.5",
        "registry_auth_id": "login",
        "command": "serve",
        "entrypoint": "/bin/sh",
        "rootfs_size_gb": 80,
        "min_cuda_version": "12.4",
        "ports": ({"port": 8080, "type": "http"},),
        "tools": ({"name": "Jupyter", "port": 8888, "type": "http"},),
        "envs": ({"key": "TOKEN", "value": "hidden"}, {"key": "MODE", "value": "fast"}),
    }


def test_named_fields_win_over_the_template_and_envs_are_merged_by_key() -> None:
    overrides = {
        "command": "",
        "rootfs_size_gb": 200,
        "ports": [],
        "envs": [{"key": "MODE", "value": "slow"}, {"key": "NEW", "value": "1"}],
    }
    fields = catalogue.resolve_template(stored_template(), overrides)
    assert (fields["command"], fields["rootfs_size_gb"], fields["ports"]) == ("", 200, ())
    assert {one["key"]: one["value"] for one in fields["envs"]} == {"TOKEN": "hidden", "MODE": "slow", "NEW": "1"}
    assert fields["image_url"] == "pytorch/pytorch:2.5"


def test_without_a_template_the_defaults_hold_and_fit_a_spec() -> None:
    spec = InstanceSpec(name="one", **catalogue.resolve_template(None, {"image_url": "busybox"}))
    assert (spec.image_url, spec.rootfs_size_gb, spec.ports, spec.envs) == ("busybox", 60, (), ())


def test_env_values_of_templates_are_not_stored_in_clear() -> None:
    stored_template()
    with connection.cursor() as cursor:
        cursor.execute("SELECT envs FROM instances_template")
        assert "hidden" not in cursor.fetchone()[0]


def test_a_storage_binds_its_cluster_and_two_in_different_ones_leave_none() -> None:
    NetworkStorage.objects.create(id="a", cluster_id="hk", refreshed_at=NOW)
    NetworkStorage.objects.create(id="b", cluster_id="us", refreshed_at=NOW)
    assert catalogue.locate_storages([]).cluster_ids is None
    assert catalogue.locate_storages(["a", "a"]).cluster_ids == frozenset({"hk"})
    assert catalogue.locate_storages(["a", "b"]).cluster_ids == frozenset()
    unknown = catalogue.locate_storages(["a", "c"])
    assert (unknown.cluster_ids, unknown.unknown) == (frozenset(), ("c",))


def test_a_spec_becomes_a_wish(settings: Any) -> None:
    settings.DEFAULT_REGION = "US-01"
    NetworkStorage.objects.create(id="a", cluster_id="hk", refreshed_at=NOW)
    spec = InstanceSpec(name="x", product_name="H100", gpu_num=2, regions=("any",), network_storages=({"id": "a"},))
    assert catalogue.wish_of(spec) == Wish(
        product_name="H100", gpu_num=2, regions=("any",), storage_cluster_ids=frozenset({"hk"}), default_region="US-01"
    )

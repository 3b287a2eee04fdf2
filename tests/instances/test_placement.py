from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from instances import placement as p
from instances.placement import OfferFacts, Placement, Wish, rank, verdict


def offer(product_id: str = "4090", cluster_id: str = "hk1", **changes: Any) -> OfferFacts:
    facts: dict[str, Any] = {
        "product_id": product_id,
        "product_name": "RTX 4090 24GB",
        "cluster_id": cluster_id,
        "region": "CN-HK-01",
        "on_demand_usd_per_gpu_hour": Decimal("0.67"),
        "spot_usd_per_gpu_hour": Decimal("0.35"),
        "max_rootfs_gb": 6144,
        "inventory": "normal",
    }
    return OfferFacts(**{**facts, **changes})


def wish(**changes: Any) -> Wish:
    facts: dict[str, Any] = {"product_name": "RTX 4090", "default_region": "CN-HK-01"}
    return Wish(**{**facts, **changes})


def places(placement: Placement) -> list[tuple[str, str]]:
    return [(one.cluster_id, one.billing_mode) for one in placement.candidates]


HONG_KONG = offer()
DALLAS = offer(cluster_id="us1", region="US-01", spot_usd_per_gpu_hour=Decimal("0.20"))
EUROPE = offer(cluster_id="eu1", region="EU-01", spot_usd_per_gpu_hour=Decimal("0.25"))


@pytest.mark.parametrize(
    ("asked", "offered", "same"),
    [
        ("RTX 4090", "RTX 4090 24GB", True),
        ("rtx  4090 24gb", "RTX 4090 24GB", True),
        ("RTX 4090 24 GB", "RTX 4090", True),
        ("RTX 4090", "RTX 4090D 24GB", False),
        ("RTX 4090", "RTX 4090 Ti 24GB", False),
        ("4090", "RTX 4090 24GB", False),
        ("A100 SXM", "A100 SXM 80GB", True),
        ("A100 80GB", "A100 40GB", False),
        ("A100", "A100 40GB", True),
        ("", "RTX 4090 24GB", False),
        ("24GB", "RTX 4090 24GB", False),
    ],
)
def test_a_product_name_is_compared_whole_without_case_and_memory_size(asked: str, offered: str, same: bool) -> None:
    assert p.matches_product(wish(product_name=asked), offer(product_name=offered)) is same


def test_a_product_id_decides_alone() -> None:
    assert places(rank(wish(product_id="4090", product_name="H100"), [HONG_KONG])) == [("hk1", "spot")]
    assert rank(wish(product_id="409", product_name="RTX 4090"), [HONG_KONG]) == Placement()


def test_the_default_region_comes_first_and_the_others_follow_by_price() -> None:
    assert places(rank(wish(), [EUROPE, HONG_KONG, DALLAS])) == [("hk1", "spot"), ("us1", "spot"), ("eu1", "spot")]


def test_a_named_region_binds() -> None:
    placement = rank(wish(regions=("eu-01",)), [EUROPE, HONG_KONG, DALLAS])
    assert places(placement) == [("eu1", "spot")]
    assert {(one.cluster_id, one.code) for one in placement.refused} == {
        ("hk1", p.REGION_NOT_ASKED),
        ("us1", p.REGION_NOT_ASKED),
    }


def test_several_named_regions_compete_by_price_whatever_the_default_is() -> None:
    assert places(rank(wish(regions=("CN-HK-01", "US-01")), [HONG_KONG, DALLAS, EUROPE])) == [
        ("us1", "spot"),
        ("hk1", "spot"),
    ]


def test_any_lets_all_regions_compete_by_price() -> None:
    offers = [HONG_KONG, EUROPE, DALLAS]
    assert [place for place, _ in places(rank(wish(regions=("any",)), offers))] == ["us1", "eu1", "hk1"]


def test_a_region_is_the_code_before_the_first_space() -> None:
    named = offer(region="US-CA-06 (California)")
    assert places(rank(wish(regions=("us-ca-06",)), [named])) == [("hk1", "spot")]
    assert places(rank(wish(regions=("US-CA-06 (somewhere)",)), [named])) == [("hk1", "spot")]
    assert not rank(wish(regions=("US-CA-0",)), [named]).candidates


def test_price_and_cap_are_for_the_whole_instance() -> None:
    (best,) = rank(wish(gpu_num=4, max_price_usd_per_hour=Decimal("1.40")), [HONG_KONG]).candidates
    assert best.price_usd_per_hour == Decimal("1.40")
    (refusal,) = rank(wish(gpu_num=4, max_price_usd_per_hour=Decimal("1.39")), [HONG_KONG]).refused
    assert (refusal.code, refusal.price_usd_per_hour) == (p.OVER_PRICE_CAP, Decimal("1.40"))
    assert "$1.4 per hour" in refusal.reason
    assert "$1.39" in refusal.reason


def test_on_demand_is_ranked_by_its_own_price() -> None:
    dear_spot = offer(cluster_id="b", spot_usd_per_gpu_hour=Decimal(9), on_demand_usd_per_gpu_hour=Decimal("0.5"))
    assert places(rank(wish(billing_mode="on_demand"), [HONG_KONG, dear_spot])) == [("b", "on_demand"), ("hk1", "on_demand")]


def test_without_fallback_nothing_is_on_demand() -> None:
    assert places(rank(wish(), [HONG_KONG])) == [("hk1", "spot")]


def test_fallback_offers_come_after_every_spot_one_even_outside_the_default_region() -> None:
    cheap = replace(HONG_KONG, on_demand_usd_per_gpu_hour=Decimal("0.01"))
    placement = rank(wish(fallback_to_on_demand=True), [cheap, DALLAS])
    assert places(placement) == [("hk1", "spot"), ("us1", "spot"), ("hk1", "on_demand"), ("us1", "on_demand")]
    assert [one.rank for one in placement.candidates] == [1, 2, 3, 4]


def test_fallback_of_an_on_demand_request_never_turns_to_spot() -> None:
    request = wish(billing_mode="on_demand", fallback_to_on_demand=True)
    assert places(rank(request, [HONG_KONG])) == [("hk1", "on_demand")]


@pytest.mark.parametrize(
    ("request_changes", "offer_changes", "code"),
    [
        ({}, {"spot_usd_per_gpu_hour": None}, p.NOT_SOLD_AS_SPOT),
        ({"billing_mode": "on_demand"}, {"on_demand_usd_per_gpu_hour": None}, p.NOT_SOLD_ON_DEMAND),
        ({}, {"available": False}, p.NO_STOCK),
        ({}, {"inventory": "none"}, p.NO_STOCK),
        ({"rootfs_size_gb": 6145}, {}, p.ROOTFS_TOO_LARGE),
        ({"rootfs_size_gb": 10}, {"min_rootfs_gb": 20}, p.ROOTFS_TOO_SMALL),
        ({"storage_cluster_ids": frozenset({"eu1"})}, {}, p.STORAGE_ELSEWHERE),
        ({"storage_cluster_ids": frozenset()}, {}, p.STORAGE_ELSEWHERE),
        ({"regions": ("EU-01",)}, {}, p.REGION_NOT_ASKED),
        ({"max_price_usd_per_hour": Decimal("0.34")}, {}, p.OVER_PRICE_CAP),
    ],
)
def test_an_offer_is_refused_for_its_own_reason(
    request_changes: dict[str, Any], offer_changes: dict[str, Any], code: str
) -> None:
    placement = rank(wish(**request_changes), [offer(**offer_changes)])
    assert placement.candidates == ()
    assert [one.code for one in placement.refused] == [code]


def test_an_unknown_largest_root_disk_refuses_nothing() -> None:
    assert rank(wish(rootfs_size_gb=9000), [offer(max_rootfs_gb=0)]).candidates


def test_network_storages_bind_the_cluster() -> None:
    assert places(rank(wish(storage_cluster_ids=frozenset({"eu1"})), [HONG_KONG, EUROPE])) == [("eu1", "spot")]


def test_offers_of_other_products_are_not_listed_as_refused() -> None:
    assert rank(wish(), [offer(product_name="H100 80GB")]) == Placement()


def test_ties_go_to_the_better_stocked_then_to_the_smaller_ids() -> None:
    offers = [
        offer("b", "x"),
        offer("a", "y"),
        offer("a", "x"),
        offer("c", "x", inventory="high"),
        offer("a", "z", inventory="low"),
        offer("a", "w", inventory="plenty"),
    ]
    ranked = rank(wish(), offers).candidates
    assert [(one.product_id, one.cluster_id) for one in ranked] == [
        ("c", "x"),
        ("a", "x"),
        ("a", "y"),
        ("b", "x"),
        ("a", "z"),
        ("a", "w"),
    ]


def judged(request: Wish, *offers: OfferFacts) -> p.Impossible | None:
    return verdict(request, offers, rank(request, offers))


def test_nothing_is_wrong_with_a_request_that_has_a_candidate() -> None:
    assert judged(wish(), HONG_KONG) is None


def test_an_unknown_product_is_told_with_the_close_ones() -> None:
    impossible = judged(wish(product_name="RTX 4091"), HONG_KONG, offer(product_name="H100 SXM 80GB"))
    assert impossible is not None
    assert (impossible.field, impossible.code, impossible.status) == ("product_name", "unknown_product", 400)
    assert "RTX 4090 24GB" in impossible.detail
    assert "H100" not in impossible.detail


def test_a_beginning_of_a_name_suggests_the_names_that_begin_so() -> None:
    impossible = judged(wish(product_name="A100"), offer(product_name="A100 SXM 80GB"), HONG_KONG)
    assert impossible is not None
    assert "near it are A100 SXM 80GB" in impossible.detail


def test_an_unknown_product_like_none_gets_the_whole_list() -> None:
    impossible = judged(wish(product_name="teapot"), HONG_KONG)
    assert impossible is not None
    assert "there are RTX 4090 24GB" in impossible.detail


def test_an_unknown_product_id_is_told_on_its_field() -> None:
    impossible = judged(wish(product_id="4091", product_name=""), HONG_KONG)
    assert impossible is not None
    assert (impossible.field, impossible.code) == ("product_id", "unknown_product")


def test_an_unknown_region_is_told_with_the_list_even_beside_a_known_one() -> None:
    request = wish(regions=("CN-HK-01", "MARS-1"))
    impossible = verdict(request, [HONG_KONG], rank(request, [HONG_KONG]), regions=["EU-01"])
    assert impossible is not None
    assert (impossible.field, impossible.code, impossible.status) == ("regions", "unknown_region", 400)
    assert impossible.detail == "Novita has no region MARS-1; there are CN-HK-01, EU-01"


def test_a_region_that_offers_nothing_is_known_all_the_same() -> None:
    request = wish(regions=("EU-01",))
    impossible = verdict(request, [HONG_KONG], rank(request, [HONG_KONG]), regions=["EU-01"])
    assert impossible is not None
    assert (impossible.field, impossible.code) == ("region", "no_offer")
    assert "it is in CN-HK-01" in impossible.detail


def test_any_is_no_unknown_region() -> None:
    assert judged(wish(regions=("Any",)), HONG_KONG) is None


def test_the_cheapest_above_the_cap_is_told_on_the_cap() -> None:
    impossible = judged(wish(max_price_usd_per_hour=Decimal("0.1")), HONG_KONG, DALLAS)
    assert impossible is not None
    assert (impossible.field, impossible.code, impossible.status) == ("max_price_usd_per_hour", "no_offer", 400)
    assert "US-01" in impossible.detail
    assert "$0.2 per hour" in impossible.detail


def test_sold_out_everywhere_is_a_conflict() -> None:
    impossible = judged(wish(), offer(available=False), replace(DALLAS, inventory="none"))
    assert impossible is not None
    assert (impossible.code, impossible.status) == ("no_capacity", 409)


def test_sold_out_within_the_cap_is_a_lack_of_capacity_even_beside_dear_offers() -> None:
    impossible = judged(wish(max_price_usd_per_hour=Decimal("0.3")), HONG_KONG, replace(DALLAS, available=False))
    assert impossible is not None
    assert impossible.code == "no_capacity"


def test_sold_out_above_the_cap_is_a_matter_of_the_cap() -> None:
    impossible = judged(wish(max_price_usd_per_hour=Decimal("0.1")), replace(DALLAS, available=False))
    assert impossible is not None
    assert impossible.field == "max_price_usd_per_hour"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rootfs_size_gb": 9000}, "rootfs_size_gb"),
        ({"storage_cluster_ids": frozenset({"elsewhere"})}, "network_storages"),
        ({"regions": ("US-01",)}, "region"),
    ],
)
def test_what_cannot_be_met_is_told_on_the_field_to_change(changes: dict[str, Any], field: str) -> None:
    impossible = judged(wish(**changes), HONG_KONG, offer("h100", "us1", region="US-01", product_name="H100"))
    assert impossible is not None
    assert (impossible.field, impossible.code) == (field, "no_offer")


def test_not_sold_as_spot_is_told_on_the_billing_mode() -> None:
    impossible = judged(wish(), offer(spot_usd_per_gpu_hour=None))
    assert impossible is not None
    assert (impossible.field, impossible.code) == ("billing_mode", "no_offer")


def test_a_placement_is_stored_with_money_as_text() -> None:
    stored = p.to_dict(rank(wish(gpu_num=2), [HONG_KONG]))
    assert stored == {
        "candidates": [
            {
                "rank": 1,
                "product_id": "4090",
                "product_name": "RTX 4090 24GB",
                "cluster_id": "hk1",
                "region": "CN-HK-01",
                "billing_mode": "spot",
                "price_usd_per_hour": "0.7",
                "inventory": "normal",
            }
        ],
        "refused": [],
    }


def test_nothing_stored_is_an_empty_placement() -> None:
    assert p.from_dict(None) == Placement()


@pytest.mark.parametrize(
    ("asked", "admitted"),
    [
        (wish(), True),
        (wish(max_price_usd_per_hour=Decimal("0.35")), True),
        (wish(max_price_usd_per_hour=Decimal("0.34999")), False),
        (wish(fallback_to_on_demand=True), True),
        (wish(billing_mode="on_demand"), False),
    ],
)
def test_a_candidate_is_admitted_while_its_price_and_its_billing_are_asked_for(asked: Wish, admitted: bool) -> None:
    [candidate] = rank(wish(), [HONG_KONG]).candidates

    assert p.admits(asked, candidate) is admitted


def test_a_withdrawn_fallback_admits_no_candidate_on_demand() -> None:
    with_fallback = wish(fallback_to_on_demand=True)
    spot, on_demand = rank(with_fallback, [HONG_KONG]).candidates

    assert [p.admits(with_fallback, one) for one in (spot, on_demand)] == [True, True]
    assert [p.admits(wish(), one) for one in (spot, on_demand)] == [True, False]

import json
from dataclasses import replace
from decimal import Decimal
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from instances import placement as p
from instances.placement import Candidate, OfferFacts, Wish, rank, verdict


def place_of(one: OfferFacts | Candidate) -> tuple[str, str]:
    return one.product_id, one.cluster_id


PRICES = st.none() | st.integers(1, 300_000).map(lambda units: Decimal(units) / 100_000)
REGIONS = st.sampled_from(["CN-HK-01", "US-01 (Dallas)", "EU-01"])
OFFERS = st.lists(
    st.builds(
        OfferFacts,
        product_id=st.sampled_from(["a", "b", "c"]),
        product_name=st.sampled_from(["RTX 4090 24GB", "RTX 4090", "RTX 4090D 24GB"]),
        cluster_id=st.sampled_from(["1", "2", "3", "4"]),
        region=REGIONS,
        on_demand_usd_per_gpu_hour=PRICES,
        spot_usd_per_gpu_hour=PRICES,
        min_rootfs_gb=st.sampled_from([0, 10, 100]),
        max_rootfs_gb=st.sampled_from([0, 50, 6144]),
        available=st.booleans(),
        inventory=st.sampled_from(["", "none", "low", "normal", "high", "odd"]),
    ),
    max_size=12,
    unique_by=place_of,
)
WISHES = st.builds(
    Wish,
    product_name=st.just("rtx 4090"),
    gpu_num=st.integers(1, 8),
    rootfs_size_gb=st.sampled_from([10, 60, 500]),
    regions=st.sampled_from([(), ("any",), ("US-01",), ("eu-01", "CN-HK-01")]),
    billing_mode=st.sampled_from(["spot", "on_demand"]),
    max_price_usd_per_hour=PRICES,
    fallback_to_on_demand=st.booleans(),
    storage_cluster_ids=st.none() | st.frozensets(st.sampled_from(["1", "2"])),
    default_region=REGIONS,
)


def identity(candidate: Candidate) -> tuple[str, str, str]:
    return candidate.product_id, candidate.cluster_id, candidate.billing_mode


@given(WISHES, OFFERS, st.randoms(use_true_random=False))
def test_the_order_of_the_offers_does_not_matter(request: Wish, offers: list[OfferFacts], random: Random) -> None:
    shuffled = list(offers)
    random.shuffle(shuffled)
    assert rank(request, shuffled) == rank(request, offers)


@given(WISHES, OFFERS)
def test_no_candidate_breaks_what_the_request_says(request: Wish, offers: list[OfferFacts]) -> None:
    facts = {(one.product_id, one.cluster_id): one for one in offers}
    placement = rank(request, offers)
    assert [one.rank for one in placement.candidates] == list(range(1, len(placement.candidates) + 1))
    for one in placement.candidates:
        source = facts[one.product_id, one.cluster_id]
        per_gpu = source.spot_usd_per_gpu_hour if one.billing_mode == "spot" else source.on_demand_usd_per_gpu_hour
        assert per_gpu is not None
        assert one.price_usd_per_hour == per_gpu * request.gpu_num
        assert request.max_price_usd_per_hour is None or one.price_usd_per_hour <= request.max_price_usd_per_hour
        assert source.available
        assert source.inventory != "none"
        assert request.storage_cluster_ids is None or one.cluster_id in request.storage_cluster_ids
        assert one.product_name != "RTX 4090D 24GB"


@given(WISHES, OFFERS)
def test_fallback_never_comes_before_what_was_asked(request: Wish, offers: list[OfferFacts]) -> None:
    modes = [one.billing_mode != request.billing_mode for one in rank(request, offers).candidates]
    assert modes == sorted(modes)
    assert request.fallback_to_on_demand or not any(modes)


@given(WISHES, OFFERS)
def test_prices_rise_within_a_billing_mode_and_region_class(request: Wish, offers: list[OfferFacts]) -> None:
    default = request.default_region.split(" ")[0]
    keys = [
        (
            one.billing_mode != request.billing_mode,
            not request.regions and not one.region.startswith(default),
            one.price_usd_per_hour,
        )
        for one in rank(request, offers).candidates
    ]
    assert keys == sorted(keys)


@given(WISHES, OFFERS)
def test_every_offer_of_the_product_is_a_candidate_or_refused(request: Wish, offers: list[OfferFacts]) -> None:
    placement = rank(request, offers)
    shown: list[Candidate | p.Refusal] = [*placement.candidates, *placement.refused]
    told = {(one.product_id, one.cluster_id) for one in shown}
    assert told == {place_of(one) for one in offers if p.matches_product(request, one)}


@given(WISHES, OFFERS)
def test_another_offer_removes_no_candidate_and_swaps_no_two(request: Wish, offers: list[OfferFacts]) -> None:
    assume(offers)
    fewer = [identity(one) for one in rank(request, offers[1:]).candidates]
    more = [identity(one) for one in rank(request, offers).candidates]
    assert [one for one in more if one in fewer] == fewer


@given(WISHES, OFFERS)
def test_a_higher_cap_removes_no_candidate(request: Wish, offers: list[OfferFacts]) -> None:
    assume(request.max_price_usd_per_hour is not None)
    capped = {identity(one) for one in rank(request, offers).candidates}
    assert capped <= {identity(one) for one in rank(replace(request, max_price_usd_per_hour=None), offers).candidates}


@given(WISHES, OFFERS)
def test_there_is_a_verdict_exactly_when_nothing_fits_or_is_known(request: Wish, offers: list[OfferFacts]) -> None:
    placement = rank(request, offers)
    impossible = verdict(request, offers, placement, regions=["CN-HK-01", "US-01", "EU-01"])
    assert (impossible is None) is bool(placement.candidates)


@given(WISHES, OFFERS)
def test_what_is_stored_as_json_is_read_back_equal(request: Wish, offers: list[OfferFacts]) -> None:
    placement = rank(request, offers)
    assert p.from_dict(json.loads(json.dumps(p.to_dict(placement)))) == placement


@given(WISHES, WISHES, OFFERS)
def test_of_an_older_ranking_is_admitted_what_keeps_to_cap_and_billing(
    before: Wish, by_now: Wish, offers: list[OfferFacts]
) -> None:
    for candidate in rank(before, offers).candidates:
        cap = by_now.max_price_usd_per_hour
        affordable = cap is None or candidate.price_usd_per_hour <= cap
        asked = {by_now.billing_mode} | ({"on_demand"} if by_now.fallback_to_on_demand else set())
        assert p.admits(by_now, candidate) is (affordable and candidate.billing_mode in asked)
        assert p.admits(before, candidate)

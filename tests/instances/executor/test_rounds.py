"""What a job asks for next, and what of an earlier ranking it keeps out and tells."""

import json
from datetime import datetime, timedelta

import pytest

from instances import placement as p
from instances.executor import rounds
from instances.executor.steps import LONGEST_CAPACITY_GAP
from instances.placement import Placement, rank
from tests.factories import NOW
from tests.instances.test_placement import DALLAS, EUROPE, HONG_KONG, places, wish

SECOND = timedelta(seconds=1)
OFFERS = [HONG_KONG, DALLAS, EUROPE]


def refused_first(ranked: Placement, *, code: str = "no_capacity") -> Placement:
    return rounds.refuse(ranked, ranked.candidates[0], code=code, reason="INSUFFICIENT_RESOURCE", now=NOW)


def by_novita(ranked: Placement) -> list[tuple[str, str, str]]:
    return [(one.cluster_id, one.code, one.reason) for one in ranked.refused if one.reason == "INSUFFICIENT_RESOURCE"]


def test_a_candidate_that_novita_refused_moves_to_the_refused() -> None:
    after = refused_first(rank(wish(), [HONG_KONG, DALLAS]))

    assert [(one.rank, one.cluster_id) for one in after.candidates] == [(2, "us1")]
    assert by_novita(after) == [("hk1", "no_capacity", "INSUFFICIENT_RESOURCE")]
    assert after.refused_at == NOW
    assert p.from_dict(json.loads(json.dumps(p.to_dict(after)))) == after


@pytest.mark.parametrize("code", ["no_capacity", "not_found"])
def test_a_new_ranking_leaves_out_what_novita_refused_and_tells_it(code: str) -> None:
    kept = refused_first(rank(wish(), OFFERS), code=code)

    again = rounds.carried_over(kept, rank(wish(), OFFERS), now=NOW + SECOND)

    assert (places(again), again.refused_at) == ([("us1", "spot"), ("eu1", "spot")], NOW)
    assert [one.rank for one in again.candidates] == [2, 3]
    assert by_novita(again) == [("hk1", code, "INSUFFICIENT_RESOURCE")]
    assert rounds.carried_over(again, rank(wish(), OFFERS), now=NOW + SECOND) == again


def test_an_offer_that_was_refused_as_spot_may_be_asked_for_on_demand() -> None:
    asked = wish(fallback_to_on_demand=True)

    again = rounds.carried_over(refused_first(rank(asked, [HONG_KONG])), rank(asked, [HONG_KONG]), now=NOW)

    assert places(again) == [("hk1", "on_demand")]


def test_what_the_ranking_itself_refused_is_judged_anew() -> None:
    kept = refused_first(rank(wish(regions=("US-01",)), OFFERS))

    again = rounds.carried_over(kept, rank(wish(), OFFERS), now=NOW)

    assert places(again) == [("hk1", "spot"), ("eu1", "spot")]
    assert [one.code for one in again.refused] == ["no_capacity"]


@pytest.mark.parametrize(
    "now",
    [NOW + LONGEST_CAPACITY_GAP, NOW - SECOND],
    ids=["nothing was refused for long", "the clock was set back"],
)
def test_a_round_that_is_over_keeps_nothing_out(now: datetime) -> None:
    ranked = rank(wish(), OFFERS)

    assert rounds.carried_over(refused_first(ranked), ranked, now=now) == ranked


def test_a_round_without_an_offer_left_is_told_and_keeps_nothing_out() -> None:
    ranked = rank(wish(), [HONG_KONG])
    told = rounds.ended(refused_first(ranked))

    assert (told.candidates, by_novita(told)) == ((), [("hk1", "no_capacity", "INSUFFICIENT_RESOURCE")])
    assert rounds.carried_over(told, ranked, now=NOW + SECOND) == ranked

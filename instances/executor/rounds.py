"""A round of offers: a job asks for one after the other, each at most once. Pure: values in, a ranking out.

The ranking is made anew for each call, so that prices, stock and what is asked for are those of now. What Novita refused in
the round stays out of it, and told with its reason. A round ends when no offer is left, or once nothing was refused for as
long as capacity is waited for at most: then each may be asked for again.
"""

from dataclasses import replace
from datetime import datetime

from instances.executor.steps import LONGEST_CAPACITY_GAP
from instances.novita.errors import NoCapacity, NotFound
from instances.placement import Candidate, Placement, Refusal

_BY_NOVITA = (NoCapacity.code, NotFound.code)


def refuse(ranked: Placement, candidate: Candidate, *, code: str, reason: str, now: datetime) -> Placement:
    """The ranking after Novita refused a candidate: it moves to the refused; the others keep their ranks."""
    refusal = Refusal(
        product_id=candidate.product_id,
        product_name=candidate.product_name,
        cluster_id=candidate.cluster_id,
        region=candidate.region,
        billing_mode=candidate.billing_mode,
        price_usd_per_hour=candidate.price_usd_per_hour,
        inventory=candidate.inventory,
        code=code,
        reason=reason,
    )
    left = tuple(one for one in ranked.candidates if one != candidate)
    return Placement(candidates=left, refused=(*ranked.refused, refusal), refused_at=now)


def carried_over(kept: Placement, ranked: Placement, *, now: datetime) -> Placement:
    """A new ranking without what Novita refused in the round that `kept` belongs to, if that goes on."""
    if kept.refused_at is None or not now - LONGEST_CAPACITY_GAP < kept.refused_at <= now:
        return ranked
    by_novita = tuple(one for one in kept.refused if one.code in _BY_NOVITA)
    asked = {_offer(one) for one in by_novita}
    left = tuple(one for one in ranked.candidates if _offer(one) not in asked)
    return Placement(candidates=left, refused=(*ranked.refused, *by_novita), refused_at=kept.refused_at)


def ended(ranked: Placement) -> Placement:
    """The ranking as it stays told once its round is over."""
    return replace(ranked, candidates=(), refused_at=None)


def _offer(one: Candidate | Refusal) -> tuple[str, str, str]:
    return one.product_id, one.cluster_id, one.billing_mode

"""Where a create would run, what it would cost and how long the balance would last: a dry run in a person's words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Min

from instances import balance, catalogue
from instances.api.creation import Plan
from instances.models import Cluster, Offer, ProviderAccount
from instances.placement import NO_CAPACITY, Candidate, Refusal, as_dict
from instances.words import span, usd, usd_per_hour
from novita_manager.pages.job_lines import OfferLine, offer_line

MOST_OFFERS = 12
MOST_REFUSED = 40
_STALE = catalogue.EVERY * 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductChoice:
    """A GPU model as the catalogue has it, prices for one GPU and one hour; empty where it is not sold so."""

    name: str
    spot: str
    on_demand: str
    stock: str
    regions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a person has to know before any offer is looked at."""

    loaded: bool
    read_at: datetime | None
    stale: bool
    poor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`blocked`: a create would be refused now; `waits`: it would wait, and why."""

    best: OfferLine | None
    per_hour: str
    per_day: str
    money: str
    others: tuple[OfferLine, ...]
    more: int
    refused: tuple[OfferLine, ...]
    blocked: str
    waits: str


def standing(now: datetime) -> Standing:
    loaded = catalogue.is_loaded()
    read_at = Cluster.objects.aggregate(at=Min("refreshed_at"))["at"] if loaded else None
    return Standing(
        loaded=loaded,
        read_at=read_at,
        stale=read_at is not None and now - read_at > _STALE,
        poor=balance.too_poor(ProviderAccount.objects.filter(pk=1).first()),
    )


def preview_of(made: Plan) -> Preview:
    candidates = made.placement.candidates if made.placement else ()
    refused = made.placement.refused if made.placement else ()
    price = candidates[0].price_usd_per_hour if candidates else None
    waiting = made.spec.wait_for_capacity
    blocked = made.impossible.detail if made.impossible else ""
    waits = ""
    if made.impossible is not None and made.impossible.code == NO_CAPACITY and waiting:
        waits, blocked = f"{_capital(blocked)}. It would wait for up to {span(waiting)}, and start when one is free.", ""
    return Preview(
        best=_line(candidates[0]) if candidates else None,
        per_hour=usd_per_hour(price),
        per_day=usd(price * 24) if price is not None else "",
        money=_money(price) if price is not None else "",
        others=tuple(map(_line, candidates[1:MOST_OFFERS])),
        more=max(0, len(candidates) - MOST_OFFERS),
        refused=tuple(map(_line, refused[:MOST_REFUSED])),
        blocked=_capital(blocked),
        waits=waits,
    )


def _line(one: Candidate | Refusal) -> OfferLine:
    return offer_line(as_dict(one))


def _money(price: Decimal) -> str:
    """What the balance says to one more machine at this price."""
    account = ProviderAccount.objects.filter(pk=1).first()
    if account is None or account.balance_usd is None:
        return "The balance has not been read yet."
    burn = balance.burn_usd_per_hour()
    return balance_words(account.balance_usd, burn, price)


def balance_words(balance_usd: Decimal, burn: Decimal, price: Decimal) -> str:
    """How long the balance lasts with it, and without it where something is billed already. Pure."""
    held = f"Your balance of {usd(balance_usd)}"
    after = balance.lasts(balance_usd, burn + price)
    if after is None:
        return f"{held} is not touched by it."
    if not after:
        return f"{held} pays for nothing more."
    before = balance.lasts(balance_usd, burn)
    without = f"; without it {_span(before)}, at the present {usd_per_hour(burn)} per hour" if before is not None else ""
    return f"{held} lasts {_span(after)} with it{without}."


def _span(length: timedelta) -> str:
    return span(length) if length < timedelta(days=3650) else "ten years and more"


def product_choices() -> tuple[ProductChoice, ...]:
    """Every model that is sold, the cheapest in stock first; one query."""
    by_name: dict[str, list[Offer]] = {}
    for offer in Offer.objects.select_related("cluster").defer("refreshed_at"):
        by_name.setdefault(offer.product_name, []).append(offer)
    rows = [(_order(offers), _choice(name, offers)) for name, offers in by_name.items()]
    return tuple(choice for _, choice in sorted(rows, key=lambda row: row[0]))


def _choice(name: str, offers: list[Offer]) -> ProductChoice:
    free = [one for one in offers if _in_stock(one)]
    return ProductChoice(
        name=name,
        spot=usd_per_hour(_least(one.spot_usd_per_gpu_hour for one in free or offers)),
        on_demand=usd_per_hour(_least(one.on_demand_usd_per_gpu_hour for one in free or offers)),
        stock=_best_stock(free),
        regions=len({one.cluster.region for one in free}),
    )


def _order(offers: list[Offer]) -> tuple[bool, Decimal, str]:
    free = [one for one in offers if _in_stock(one)]
    prices = [one.spot_usd_per_gpu_hour or one.on_demand_usd_per_gpu_hour for one in free or offers]
    return not free, _least(prices) or Decimal(10**6), offers[0].product_name


def _in_stock(offer: Offer) -> bool:
    return offer.available and offer.inventory.lower() != "none"


def _best_stock(free: list[Offer]) -> str:
    words = {one.inventory.lower() for one in free}
    known = next((word for word in ("high", "normal", "low") if word in words), "")
    return known or ("in stock" if free else "sold out")


def _least(prices: Iterable[Decimal | None]) -> Decimal | None:
    return min((one for one in prices if one is not None), default=None)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

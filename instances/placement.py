"""Which offer a request gets: a pure ranking of offers, with a reason for each one refused.

No clock, no database, no network. Prices are USD per hour of the whole instance (price per GPU times GPUs), disks apart.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from instances.novita.types import region_of

SPOT = "spot"
ON_DEMAND = "on_demand"
ANY_REGION = "any"
NO_CAPACITY = "no_capacity"

_MEMORY_SIZE = re.compile(r"\s*\b(\d+)\s*gb?$")
_INVENTORY_ORDER = {"high": 0, "normal": 1, "low": 2}

# How far an offer came before it was refused, in the order the tests are made: the furthest says best what to change.
REGION_NOT_ASKED = "region_not_asked"
STORAGE_ELSEWHERE = "storage_elsewhere"
ROOTFS_TOO_SMALL = "rootfs_too_small"
ROOTFS_TOO_LARGE = "rootfs_too_large"
NOT_SOLD_AS_SPOT = "not_sold_as_spot"
NOT_SOLD_ON_DEMAND = "not_sold_on_demand"
OVER_PRICE_CAP = "over_price_cap"
NO_STOCK = "no_stock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a request asks of an offer.

    Empty `regions`: none named, so `default_region` comes first; ("any",): all compete. `storage_cluster_ids` holds the
    clusters that have all the wanted network storages, None where none is wanted. A `product_id` decides alone.
    """

    product_name: str = ""
    product_id: str = ""
    gpu_num: int = 1
    rootfs_size_gb: int = 60
    regions: tuple[str, ...] = ()
    billing_mode: str = SPOT
    max_price_usd_per_hour: Decimal | None = None
    fallback_to_on_demand: bool = False
    storage_cluster_ids: frozenset[str] | None = None
    default_region: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferFacts:
    """One product in one cluster. Prices are USD per GPU-hour, None where it is not sold so; a size of 0 is unknown."""

    product_id: str
    product_name: str
    cluster_id: str
    region: str
    on_demand_usd_per_gpu_hour: Decimal | None = None
    spot_usd_per_gpu_hour: Decimal | None = None
    cpu_per_gpu: int = 0
    memory_gb_per_gpu: int = 0
    min_rootfs_gb: int = 0
    max_rootfs_gb: int = 0
    available: bool = True
    inventory: str = ""

    def price_usd_per_hour(self, billing_mode: str, gpu_num: int) -> Decimal | None:
        """For the whole instance, or None where it is not sold this way."""
        price = self.spot_usd_per_gpu_hour if billing_mode == SPOT else self.on_demand_usd_per_gpu_hour
        return None if price is None else price * gpu_num

    @property
    def in_stock(self) -> bool:
        return self.available and self.inventory.lower() != "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An offer that fits, `rank` 1 the best."""

    rank: int
    product_id: str
    product_name: str
    cluster_id: str
    region: str
    billing_mode: str
    price_usd_per_hour: Decimal
    inventory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An offer of the right product that does not fit, or that Novita refused; the price is None where it has none."""

    product_id: str
    product_name: str
    cluster_id: str
    region: str
    billing_mode: str
    price_usd_per_hour: Decimal | None
    inventory: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """`refused_at`: when Novita last refused one of them to a job that still goes through them."""

    candidates: tuple[Candidate, ...] = ()
    refused: tuple[Refusal, ...] = ()
    refused_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible:
    """Why no offer fits: the request's field to change, a stable code and the sentence for people."""

    field: str
    code: str
    detail: str

    @property
    def status(self) -> int:
        """The HTTP status: a lack of GPUs is a state of the world, all else is in the request."""
        return 409 if self.code == NO_CAPACITY else 400


def rank(wish: Wish, offers: Iterable[OfferFacts]) -> Placement:
    """The offers that fit, best first, and those of the same product that do not, nearest miss first."""
    fitting: list[tuple[OfferFacts, str, Decimal]] = []
    refused: list[Refusal] = []
    for offer in offers:
        if not matches_product(wish, offer):
            continue
        mismatch = _mismatch(wish, offer)
        if mismatch:
            refused.append(_refusal(wish, offer, wish.billing_mode, *mismatch))
            continue
        for mode in _modes(wish):
            price = offer.price_usd_per_hour(mode, wish.gpu_num)
            refusal = _unaffordable(wish, offer, mode, price)
            if refusal is None and price is not None:
                fitting.append((offer, mode, price))
            elif refusal is not None:
                refused.append(refusal)
    fitting.sort(key=lambda fit: _order(wish, *fit))
    refused.sort(key=_refusal_order)
    candidates = tuple(_candidate(place, *fit) for place, fit in enumerate(fitting, start=1))
    return Placement(candidates=candidates, refused=tuple(refused))


def admits(wish: Wish, candidate: Candidate) -> bool:
    """Whether what was ranked a moment ago may still be paid for, as far as money goes."""
    return candidate.billing_mode in _modes(wish) and not _is_over_cap(wish, candidate.price_usd_per_hour)


def matches_product(wish: Wish, offer: OfferFacts) -> bool:
    """By id if one is asked for, else by the whole name.

    Case and a trailing memory size do not matter, so "rtx 4090" is "RTX 4090 24GB"; but a size that is asked for is meant.
    """
    if wish.product_id:
        return wish.product_id == offer.product_id
    asked, asked_size = _split_name(wish.product_name)
    offered, offered_size = _split_name(offer.product_name)
    return bool(asked) and asked == offered and (not asked_size or not offered_size or asked_size == offered_size)


def verdict(
    wish: Wish, offers: Sequence[OfferFacts], placement: Placement, *, regions: Iterable[str] = ()
) -> Impossible | None:
    """Why the request cannot be met from all the known `offers`, or None where a candidate exists.

    `regions` are those Novita has beside the ones that offer something.
    """
    unknown = _unknown_product(wish, offers) or _unknown_region(wish, offers, regions)
    if unknown or placement.candidates:
        return unknown
    nearest = placement.refused[0]
    if nearest.code == NO_STOCK:
        return Impossible(field="", code=NO_CAPACITY, detail=f"no GPU is free for it now: {nearest.reason}")
    return Impossible(field=_field(wish, nearest.code), code="no_offer", detail=_no_offer(wish, placement))


def to_dict(placement: Placement) -> dict[str, Any]:
    """Plain JSON, money as decimal text: what a job stores."""
    return {
        "candidates": [as_dict(one) for one in placement.candidates],
        "refused": [as_dict(one) for one in placement.refused],
        **({"refused_at": placement.refused_at.isoformat()} if placement.refused_at else {}),
    }


def from_dict(stored: Mapping[str, Any] | None) -> Placement:
    """The placement that `to_dict` wrote; an empty one from nothing."""
    stored = stored or {}
    return Placement(
        candidates=tuple(
            Candidate(**{**one, "price_usd_per_hour": Decimal(one["price_usd_per_hour"])})
            for one in stored.get("candidates", ())
        ),
        refused=tuple(
            Refusal(**{**one, "price_usd_per_hour": _decimal(one["price_usd_per_hour"])})
            for one in stored.get("refused", ())
        ),
        refused_at=datetime.fromisoformat(stored["refused_at"]) if stored.get("refused_at") else None,
    )


def as_dict(one: Candidate | Refusal) -> dict[str, Any]:
    """Its fields by name, the price as decimal text or None."""
    price = one.price_usd_per_hour
    return {**asdict(one), "price_usd_per_hour": None if price is None else _money(price)}


def _split_name(name: str) -> tuple[str, str]:
    """A product's name in lower case without its memory size, and that size in GB or ""."""
    text = " ".join(name.casefold().split())
    size = _MEMORY_SIZE.search(text)
    return (text[: size.start()], size[1].lstrip("0")) if size and size.start() else (text, "")


def _region_key(region: str) -> str:
    return region_of(region).casefold()


def _asked_regions(wish: Wish) -> frozenset[str]:
    """The regions that bind; none where none is named or any will do."""
    keys = frozenset(_region_key(region) for region in wish.regions)
    return frozenset() if ANY_REGION in keys else keys


def _modes(wish: Wish) -> tuple[str, ...]:
    falls_back = wish.fallback_to_on_demand and wish.billing_mode == SPOT
    return (SPOT, ON_DEMAND) if falls_back else (wish.billing_mode,)


def _mismatch(wish: Wish, offer: OfferFacts) -> tuple[str, str] | None:
    """Code and reason where the offer does not fit, whatever it costs."""
    asked = _asked_regions(wish)
    if asked and _region_key(offer.region) not in asked:
        return REGION_NOT_ASKED, f"the request asks for {', '.join(wish.regions)}"
    if wish.storage_cluster_ids is not None and offer.cluster_id not in wish.storage_cluster_ids:
        return STORAGE_ELSEWHERE, "the network storages of the request are not in this cluster"
    if offer.min_rootfs_gb and wish.rootfs_size_gb < offer.min_rootfs_gb:
        return ROOTFS_TOO_SMALL, f"its root disk has at least {offer.min_rootfs_gb} GB, asked are {wish.rootfs_size_gb}"
    if offer.max_rootfs_gb and wish.rootfs_size_gb > offer.max_rootfs_gb:
        return ROOTFS_TOO_LARGE, f"its root disk has at most {offer.max_rootfs_gb} GB, asked are {wish.rootfs_size_gb}"
    return None


def _unaffordable(wish: Wish, offer: OfferFacts, mode: str, price: Decimal | None) -> Refusal | None:
    """The refusal where it is not sold this way, costs too much, or is sold out."""
    if price is None:
        code = NOT_SOLD_AS_SPOT if mode == SPOT else NOT_SOLD_ON_DEMAND
        return _refusal(wish, offer, mode, code, f"it is not sold {'as spot' if mode == SPOT else 'on demand'} here")
    cap = wish.max_price_usd_per_hour
    if cap is not None and _is_over_cap(wish, price):
        return _refusal(wish, offer, mode, OVER_PRICE_CAP, f"${_money(price)} per hour is above the cap of ${_money(cap)}")
    if not offer.in_stock:
        return _refusal(wish, offer, mode, NO_STOCK, f"{offer.product_name} is sold out in {offer.region}")
    return None


def _is_over_cap(wish: Wish, price: Decimal) -> bool:
    return wish.max_price_usd_per_hour is not None and price > wish.max_price_usd_per_hour


def _refusal(wish: Wish, offer: OfferFacts, mode: str, code: str, reason: str) -> Refusal:
    return Refusal(
        product_id=offer.product_id,
        product_name=offer.product_name,
        cluster_id=offer.cluster_id,
        region=offer.region,
        billing_mode=mode,
        price_usd_per_hour=offer.price_usd_per_hour(mode, wish.gpu_num),
        inventory=offer.inventory,
        code=code,
        reason=reason,
    )


def _candidate(place: int, offer: OfferFacts, mode: str, price: Decimal) -> Candidate:
    return Candidate(
        rank=place,
        product_id=offer.product_id,
        product_name=offer.product_name,
        cluster_id=offer.cluster_id,
        region=offer.region,
        billing_mode=mode,
        price_usd_per_hour=price,
        inventory=offer.inventory,
    )


def _order(wish: Wish, offer: OfferFacts, mode: str, price: Decimal) -> tuple[Any, ...]:
    """Asked billing mode, then the default region where none is named, then price; the rest only breaks ties."""
    preferred = not wish.regions and _region_key(offer.region) == _region_key(wish.default_region)
    stock = _INVENTORY_ORDER.get(offer.inventory.lower(), len(_INVENTORY_ORDER))
    return (mode != wish.billing_mode, not preferred, price, stock, offer.product_id, offer.cluster_id)


_PROGRESS = (
    REGION_NOT_ASKED,
    STORAGE_ELSEWHERE,
    ROOTFS_TOO_SMALL,
    ROOTFS_TOO_LARGE,
    NOT_SOLD_ON_DEMAND,
    NOT_SOLD_AS_SPOT,
    OVER_PRICE_CAP,
    NO_STOCK,
)


def _refusal_order(refusal: Refusal) -> tuple[Any, ...]:
    price = refusal.price_usd_per_hour
    has_price = (price is None, price or Decimal(0))
    return (-_PROGRESS.index(refusal.code), *has_price, refusal.product_id, refusal.cluster_id, refusal.billing_mode)


def _unknown_product(wish: Wish, offers: Sequence[OfferFacts]) -> Impossible | None:
    if any(matches_product(wish, offer) for offer in offers):
        return None
    if wish.product_id:
        asked, field, known = wish.product_id, "product_id", sorted({offer.product_id for offer in offers})
    else:
        asked, field, known = wish.product_name, "product_name", sorted({offer.product_name for offer in offers})
    near = _near(asked, known)
    hint = f"near it are {', '.join(near)}" if near else f"there are {', '.join(known) or 'none at all'}"
    return Impossible(field=field, code="unknown_product", detail=f"Novita has no product {asked!r}; {hint}")


def _near(asked: str, known: Sequence[str]) -> list[str]:
    """Up to five names close to the one asked for: those that begin with it or resemble it, without memory sizes."""
    plain = {name: _split_name(name)[0] for name in known}
    asked_plain = _split_name(asked)[0]
    alike = set(get_close_matches(asked_plain, plain.values(), n=5, cutoff=0.6))
    return [name for name, text in plain.items() if text in alike or (asked_plain and text.startswith(asked_plain))][:5]


def _unknown_region(wish: Wish, offers: Sequence[OfferFacts], regions: Iterable[str]) -> Impossible | None:
    known = sorted({*regions, *(offer.region for offer in offers)})
    keys = {_region_key(region) for region in known}
    missing = [region for region in wish.regions if _region_key(region) not in keys and _region_key(region) != ANY_REGION]
    if not missing:
        return None
    detail = f"Novita has no region {', '.join(missing)}; there are {', '.join(known)}"
    return Impossible(field=_region_field(wish), code="unknown_region", detail=detail)


def _region_field(wish: Wish) -> str:
    return "regions" if len(wish.regions) > 1 else "region"


def _field(wish: Wish, code: str) -> str:
    """The request's field that a refusal speaks of."""
    return {
        REGION_NOT_ASKED: _region_field(wish),
        STORAGE_ELSEWHERE: "network_storages",
        ROOTFS_TOO_SMALL: "rootfs_size_gb",
        ROOTFS_TOO_LARGE: "rootfs_size_gb",
        OVER_PRICE_CAP: "max_price_usd_per_hour",
    }.get(code, "billing_mode")


def _no_offer(wish: Wish, placement: Placement) -> str:
    """The nearest miss in words."""
    nearest = placement.refused[0]
    if nearest.code == REGION_NOT_ASKED:
        sold_in = sorted({refusal.region for refusal in placement.refused})
        return f"{nearest.product_name} is not offered in {', '.join(wish.regions)}; it is in {', '.join(sold_in)}"
    lead = "the cheapest offer" if nearest.code == OVER_PRICE_CAP else "the nearest offer"
    return f"{lead}, {nearest.product_name} in {nearest.region} ({nearest.billing_mode}), does not fit: {nearest.reason}"


def _money(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)

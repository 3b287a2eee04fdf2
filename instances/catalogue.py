"""What Novita offers, as rows: read every few minutes, and asked here. The one writer of the catalogue's tables.

Nothing here calls Novita inside a transaction. A part that cannot be read keeps its old rows, and the report says so.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db.models import Q

from instances import periodic
from instances.alarms import clear_alarm, raise_alarm
from instances.catalogue_rows import Reading, offer_row, store_clusters, store_offers, store_storages, store_templates
from instances.models import Cluster, NetworkStorage, Offer, Template
from instances.novita import types
from instances.novita.errors import InvalidRequest, NotFound, NovitaError, Unavailable
from instances.novita.types import region_of
from instances.placement import ANY_REGION, NO_STOCK, OfferFacts, Wish, rank
from instances.provider import novita

WORK = "catalogue"
EVERY = timedelta(minutes=5)
RETRY = timedelta(seconds=30)
FRESH = timedelta(seconds=60)
_LEASE = timedelta(minutes=5)
_FAILURES_IN_A_ROW = 3
_CLUSTERS_READ_AGAIN = 3
_WAIT_FOR_ANOTHER_READER = 10.0  # seconds, well within a job's lease

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""`Cluster.refreshed_at` of a cluster whose products have not been read yet."""


class CatalogueSource(Protocol):
    """The part of the provider client that the catalogue is read through."""

    def list_clusters(self) -> Sequence[types.Cluster]: ...
    def list_products(self, *, gpu_num: int | None = None, cluster_id: str = "") -> Sequence[types.Product]: ...
    def list_templates(self, channel: str, *, mine: bool) -> Sequence[types.Template]: ...
    def get_template(self, template_id: str) -> types.Template: ...
    def list_network_storages(self) -> Sequence[types.NetworkStorage]: ...


class CatalogueNotLoaded(Unavailable):
    """Clusters and products have not been read yet; the next pass of the catalogue does it."""

    code = "catalogue_not_loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueReport:
    """Rows written and removed, and the parts that kept their old rows because they could not be read."""

    written: int
    removed: int
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        text = f"{self.written} rows written, {self.removed} removed"
        return f"{text}; not read: {'; '.join(self.problems)}" if self.problems else text


def refresh_if_due(now: datetime) -> None:
    """Read the catalogue where it is due; after a failure it is due again soon."""
    held = periodic.claim(WORK, every=EVERY, lease=_LEASE, now=now)
    if held is None:
        return
    report = refresh(novita(), now=now)
    periodic.finish(held, now=now, ok=report.ok, detail=str(report))
    if not report.ok:
        periodic.bring_forward(WORK, to=now + RETRY)
    _watch_default_region(now)


def refresh(client: CatalogueSource, *, now: datetime) -> CatalogueReport:
    """Read clusters, the products of each for one GPU, templates and network storages; write what differs."""
    reading = Reading(now=now)
    clusters = reading.attempt("clusters", client.list_clusters)
    if clusters:
        store_clusters(clusters, reading, never=NEVER)
    elif clusters is not None and Cluster.objects.exists():
        reading.problems.append("clusters: the list came back empty, the known ones are kept")
    _refresh_offers(client, reading)
    for channel, mine in (("official", False), ("private", True)):
        listed = reading.attempt(f"{channel} templates", partial(client.list_templates, channel, mine=mine))
        if listed is not None:
            store_templates(listed, channel, reading)
    storages = reading.attempt("network storages", client.list_network_storages)
    if storages is not None:
        store_storages(storages, reading)
    return CatalogueReport(written=reading.written, removed=reading.removed, problems=tuple(reading.problems))


def _refresh_offers(client: CatalogueSource, reading: Reading) -> None:
    """One call per cluster; several failures in a row mean that Novita is away, and the rest is not asked."""
    failures = 0
    for cluster in Cluster.objects.all():
        if failures == _FAILURES_IN_A_ROW:
            reading.problems.append("the other clusters were not asked")
            return
        products = reading.attempt(f"products of {cluster}", partial(client.list_products, gpu_num=1, cluster_id=cluster.id))
        failures = failures + 1 if products is None else 0
        if products is not None:
            store_offers(cluster, products, reading)


def _watch_default_region(now: datetime) -> None:
    """A default region that Novita does not have prefers nothing: say so, with those there are."""
    region, known = settings.DEFAULT_REGION, known_regions()
    missing = known and region_of(region).casefold() not in {one.casefold() for one in (*known, ANY_REGION, "")}
    if missing:
        raise_alarm(
            "default_region",
            "",
            text=f"DEFAULT_REGION is {region!r}, and Novita has no such region; it has {', '.join(known)}",
            remedy="Set DEFAULT_REGION to one of them, or to any",
            now=now,
        )
    else:
        clear_alarm("default_region", "", now=now)


def is_loaded() -> bool:
    """Whether the products of every known cluster have been read at least once."""
    return Cluster.objects.exists() and not Cluster.objects.filter(refreshed_at=NEVER).exists()


def known_regions() -> tuple[str, ...]:
    """The codes of all regions Novita has, sorted."""
    return tuple(sorted(set(Cluster.objects.values_list("region", flat=True))))


def offers_for(*, product_id: str = "", cluster_ids: Iterable[str] | None = None) -> tuple[OfferFacts, ...]:
    """The stored offers for one GPU, all of them or those of a product or of clusters; one query."""
    wanted = Q()
    if product_id:
        wanted &= Q(product_id=product_id)
    if cluster_ids is not None:
        wanted &= Q(cluster_id__in=list(cluster_ids))
    return tuple(_facts(row, row.cluster) for row in Offer.objects.filter(wanted).select_related("cluster"))


def _facts(row: Offer, cluster: Cluster) -> OfferFacts:
    return OfferFacts(
        product_id=row.product_id,
        product_name=row.product_name,
        cluster_id=cluster.id,
        region=cluster.region,
        on_demand_usd_per_gpu_hour=row.on_demand_usd_per_gpu_hour,
        spot_usd_per_gpu_hour=row.spot_usd_per_gpu_hour,
        cpu_per_gpu=row.cpu_per_gpu,
        memory_gb_per_gpu=row.memory_gb_per_gpu,
        min_rootfs_gb=row.min_rootfs_gb,
        max_rootfs_gb=row.max_rootfs_gb,
        available=row.available,
        inventory=row.inventory,
    )


def wish_of(request: Any) -> Wish:
    """The wish of an Instance row or an InstanceSpec, bound to the clusters of its network storages."""
    places = locate_storages(one["id"] for one in request.network_storages)
    return Wish(
        product_name=request.product_name,
        product_id=request.product_id,
        gpu_num=request.gpu_num,
        rootfs_size_gb=request.rootfs_size_gb,
        regions=tuple(request.regions),
        billing_mode=request.billing_mode,
        max_price_usd_per_hour=request.max_price_usd_per_hour,
        fallback_to_on_demand=request.fallback_to_on_demand,
        storage_cluster_ids=places.cluster_ids,
        default_region=settings.DEFAULT_REGION,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePlaces:
    """The clusters that have all the named storages (None: none was named), and the ids nobody knows."""

    cluster_ids: frozenset[str] | None
    unknown: tuple[str, ...] = ()


def locate_storages(storage_ids: Iterable[str]) -> StoragePlaces:
    """Where network storages are. A storage lives in one cluster, so two in different ones leave no cluster."""
    ids = list(dict.fromkeys(storage_ids))
    if not ids:
        return StoragePlaces(cluster_ids=None)
    clusters = dict(NetworkStorage.objects.filter(id__in=ids).values_list("id", "cluster_id"))
    unknown = tuple(one for one in ids if one not in clusters)
    places = set(clusters.values())
    return StoragePlaces(cluster_ids=frozenset(places if len(places) == 1 and not unknown else ()), unknown=unknown)


@dataclass(frozen=True, slots=True)
class _Recent:
    read_at: datetime
    offers: tuple[OfferFacts, ...]


# Reads for a GPU count, by client, shared by the threads of a process for as long as they count as fresh.
_recent: WeakKeyDictionary[Any, dict[tuple[str, int], _Recent]] = WeakKeyDictionary()
_reading_again = threading.Lock()


def fresh_offers(client: CatalogueSource, *, wish: Wish, gpu_num: int, now: datetime) -> tuple[OfferFacts, ...]:
    """All stored offers, those of the wish's best clusters read again for the GPU count where older than a minute.

    A cluster that cannot be read now keeps its stored offers. Raises CatalogueNotLoaded before the first reading.
    """
    stored = offers_for()
    if not stored:
        periodic.bring_forward(WORK, to=now)
        raise CatalogueNotLoaded("Novita's products have not been read yet")
    best = _best_clusters(wish, stored)
    again = {cluster: _read_again(client, cluster, gpu_num, now) for cluster in best}
    kept = tuple(one for one in stored if again.get(one.cluster_id) is None)
    return kept + tuple(one for offers in again.values() for one in offers or ())


def _best_clusters(wish: Wish, stored: Sequence[OfferFacts]) -> list[str]:
    """The clusters of the best candidates, then of those that were sold out when last read."""
    placement = rank(wish, stored)
    sold_out = (one.cluster_id for one in placement.refused if one.code == NO_STOCK)
    return list(dict.fromkeys((*(one.cluster_id for one in placement.candidates), *sold_out)))[:_CLUSTERS_READ_AGAIN]


def _read_again(client: CatalogueSource, cluster_id: str, gpu_num: int, now: datetime) -> tuple[OfferFacts, ...] | None:
    """The cluster's offers for so many GPUs; None where the stored ones hold: fresh, or not to be read.

    Of many threads that want them at once, one asks and the others wait for its answer.
    """
    if not _reading_again.acquire(timeout=_WAIT_FOR_ANOTHER_READER):
        return None
    try:
        known = _recent.setdefault(client, {})
        recent = known.get((cluster_id, gpu_num))
        if recent is None or now - recent.read_at >= FRESH:
            cluster = Cluster.objects.get(pk=cluster_id)
            if gpu_num == 1 and now - cluster.refreshed_at < FRESH:
                return None
            products = client.list_products(gpu_num=gpu_num, cluster_id=cluster_id)
            rows = [offer_row(cluster, product, now) for product in products]
            recent = _Recent(now, tuple(_facts(row, cluster) for row in rows if row is not None))
            known[cluster_id, gpu_num] = recent
        return recent.offers
    except (NovitaError, Cluster.DoesNotExist):
        return None
    finally:
        _reading_again.release()


def template_by_id(template_id: str, *, client: CatalogueSource | None = None, now: datetime) -> Template | None:
    """The template, or None where there is none.

    One that is not listed, as community templates are not, is asked for the first time it is named if a client is given.
    Raises NovitaError where Novita gives no answer.
    """
    row = Template.objects.filter(pk=template_id).first()
    if row is not None or client is None:
        return row
    try:
        found = client.get_template(template_id)
    except (NotFound, InvalidRequest):
        return None
    store_templates([found], None, Reading(now=now))
    return Template.objects.filter(pk=template_id).first()


# Request fields that are columns of a template too, with what holds where neither says anything.
_DEFAULTS: dict[str, Any] = {
    "image_url": "",
    "registry_auth_id": "",
    "command": "",
    "entrypoint": "",
    "rootfs_size_gb": 60,
    "min_cuda_version": "",
    "ports": (),
    "tools": (),
}


def resolve_template(template: Template | None, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The request fields a template fills in, by name, lists as tuples.

    `overrides` holds the fields that the request names itself: they win, empty ones too; envs are merged by key.
    What neither says has the API's default.
    """
    fields: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        value = overrides.get(name, getattr(template, name, None) or default)
        fields[name] = tuple(value) if isinstance(default, tuple) else value
    envs = {one["key"]: one["value"] for one in (template.envs or () if template else ())}
    envs |= {one["key"]: one["value"] for one in overrides.get("envs", ())}
    fields["envs"] = tuple({"key": key, "value": value} for key, value in envs.items())
    return fields

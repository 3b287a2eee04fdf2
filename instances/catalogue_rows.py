"""Values read from Novita as rows of the catalogue, and the writing of those that differ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from instances.models import Cluster, NetworkStorage, Offer, Template
from instances.novita import types
from instances.novita.errors import NovitaError, shorten
from instances.novita.types import region_of

Value = TypeVar("Value")
Row = TypeVar("Row", Cluster, Offer, Template, NetworkStorage)

_CLUSTER_COLUMNS = ("name", "region", "supports_network_storage")
_OFFER_COLUMNS = (
    "product_name",
    "cpu_per_gpu",
    "memory_gb_per_gpu",
    "min_rootfs_gb",
    "max_rootfs_gb",
    "on_demand_usd_per_gpu_hour",
    "spot_usd_per_gpu_hour",
    "available",
    "inventory",
)
_TEMPLATE_COLUMNS = (
    "name",
    "channel",
    "readme",
    "image_url",
    "registry_auth_id",
    "command",
    "entrypoint",
    "rootfs_size_gb",
    "ports",
    "tools",
    "envs",
    "min_cuda_version",
    "listed",
)
_STORAGE_COLUMNS = ("name", "cluster_id", "size_gb")


@dataclass(slots=True, kw_only=True)
class Reading:
    """One pass over the catalogue: when it began, what it wrote, what went wrong."""

    now: datetime
    written: int = 0
    removed: int = 0
    problems: list[str] = field(default_factory=list)

    def attempt(self, what: str, call: Callable[[], Value]) -> Value | None:
        """What the call returns, or None with the problem noted."""
        try:
            return call()
        except NovitaError as error:
            self.problems.append(f"{what}: {error.code} ({shorten(error.message, 80)})")
            return None


def store_clusters(clusters: Sequence[types.Cluster], reading: Reading, *, never: datetime) -> None:
    """Their products count as read `never` until `store_offers`. Clusters that are gone go with their offers."""
    rows = [
        Cluster(
            id=one.id,
            name=one.name or one.id,
            region=one.region or one.id,
            supports_network_storage=one.supports_network_storage,
            refreshed_at=never,
        )
        for one in clusters
    ]
    _store(rows, Cluster.objects.all(), reading, key="id", columns=_CLUSTER_COLUMNS, stamp=False)


def store_offers(cluster: Cluster, products: Sequence[types.Product], reading: Reading) -> None:
    """What the cluster offers for one GPU."""
    rows = [row for one in products if (row := offer_row(cluster, one, reading.now)) is not None]
    known = Offer.objects.filter(cluster=cluster)
    _store(rows, known, reading, key="product_id", columns=_OFFER_COLUMNS, unique=("cluster", "product_id"))
    Cluster.objects.filter(pk=cluster.pk).update(refreshed_at=reading.now)


def offer_row(cluster: Cluster, product: types.Product, now: datetime) -> Offer | None:
    """The unsaved row of a product in a cluster; None where the product's own list of clusters leaves this one out."""
    if product.regions and cluster.region not in {region_of(name) for name in product.regions}:
        return None
    return Offer(
        cluster=cluster,
        product_id=product.id,
        product_name=product.name or product.id,
        cpu_per_gpu=product.cpu_per_gpu,
        memory_gb_per_gpu=product.memory_gb_per_gpu,
        min_rootfs_gb=product.min_rootfs_gb,
        max_rootfs_gb=product.max_rootfs_gb,
        on_demand_usd_per_gpu_hour=_price(product, "on_demand", product.price_usd_per_gpu_hour),
        spot_usd_per_gpu_hour=_price(product, "spot", product.spot_price_usd_per_gpu_hour),
        available=product.available,
        inventory=product.inventory,
        refreshed_at=now,
    )


def _price(product: types.Product, mode: str, price: Decimal | None) -> Decimal | None:
    """The price, or None where it is not sold so. Zero is no price: it would be taken for the cheapest."""
    return price if price and (not product.billing_modes or mode in product.billing_modes) else None


def store_templates(templates: Sequence[types.Template], channel: str | None, reading: Reading) -> None:
    """The listed templates of a channel; without a channel, single ones that were read by id."""
    rows = [_template_row(one, channel, reading.now) for one in templates]
    ids = [row.id for row in rows]
    known = Template.objects.filter(pk__in=ids)
    if channel is not None:
        known |= Template.objects.filter(channel=channel, listed=True)
    _store(rows, known, reading, key="id", columns=_TEMPLATE_COLUMNS)


def _template_row(template: types.Template, channel: str | None, now: datetime) -> Template:
    envs: Any = [{"key": key, "value": value} for key, value in template.envs.items()] or None
    return Template(
        id=template.id,
        name=template.name or template.id,
        channel=channel or template.channel,
        readme=template.readme,
        image_url=template.image,
        registry_auth_id=template.image_auth_id,
        command=template.start_command,
        entrypoint=template.entrypoint,
        rootfs_size_gb=template.rootfs_size_gb,
        ports=[{"port": port, "type": kind} for port, kind in template.ports],
        tools=[{"name": tool.name, "port": tool.port, "type": tool.type} for tool in template.tools],
        envs=envs,
        min_cuda_version=template.min_cuda_version,
        listed=channel is not None,
        refreshed_at=now,
    )


def store_storages(storages: Sequence[types.NetworkStorage], reading: Reading) -> None:
    rows = [
        NetworkStorage(id=one.id, name=one.name, cluster_id=one.cluster_id, size_gb=one.size_gb, refreshed_at=reading.now)
        for one in storages
    ]
    _store(rows, NetworkStorage.objects.all(), reading, key="id", columns=_STORAGE_COLUMNS)


def _store(
    rows: Sequence[Row],
    known: QuerySet[Row],
    reading: Reading,
    *,
    key: str,
    columns: tuple[str, ...],
    unique: tuple[str, ...] = ("id",),
    stamp: bool = True,
) -> None:
    """Write the rows that are new or differ in a column, and remove the known ones that are not among them."""
    read = {getattr(row, key): row for row in rows if _fits(row, reading)}
    have = {getattr(row, key): row for row in known}
    differing = [
        row
        for name, row in read.items()
        if name not in have or any(getattr(row, column) != getattr(have[name], column) for column in columns)
    ]
    gone = [row.pk for name, row in have.items() if name not in read]
    updated = [*columns, "refreshed_at"] if stamp else [*columns]
    with transaction.atomic():
        known.model._default_manager.bulk_create(
            differing, update_conflicts=True, unique_fields=unique, update_fields=updated
        )
        known.model._default_manager.filter(pk__in=gone).delete()
    reading.written += len(differing)
    reading.removed += len(gone)


def _fits(row: Row, reading: Reading) -> bool:
    """Whether the columns can hold it; what cannot be held whole is left out rather than cut to something else."""
    try:
        row.clean_fields(exclude={"cluster", "envs"})
    except ValidationError as error:
        reading.problems.append(f"{row.__class__.__name__.lower()} {row}: unusable {', '.join(error.message_dict)}")
        return False
    return True

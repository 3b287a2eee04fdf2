"""Rows that tests need, each function one row with sensible columns; what matters to a test is named by it."""

import itertools
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.test import Client

from instances.correlation import new_correlation_id
from instances.events import Actor
from instances.lifecycle import WISH_VERBS, Observed, Verb, observed_of
from instances.models import Cluster, Instance, Job, Machine, NetworkStorage, Offer, ProviderAccount, Reclaim, Template
from instances.phases import refresh_phase
from novita_manager.models import ApiKey

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PERSON = Actor(kind="user", name="alice")
_numbers = itertools.count(1)


def make_machine(instance: Instance, *, status: str = "running", now: datetime = NOW, **columns: Any) -> Machine:
    """Its machine as Novita last showed it, and the current one of the instance."""
    number = next(_numbers)
    running = observed_of(status) is Observed.RUNNING
    values: dict[str, Any] = {
        "correlation_id": new_correlation_id(),
        "novita_id": f"nv{number:014x}",
        "created_at": now,
        "status": status,
        "status_since": now,
        "observed_at": now,
        "running_since": now if running else None,
        "cluster_id": "cluster-1",
        "region": "CN-HK-01",
        "product_id": "product-4090",
        "product_name": "RTX 4090 24GB",
        "billing_mode": "spot",
        "price_usd_per_hour": Decimal("0.35"),
        "image_url": "docker.io/library/busybox:1",
        "ports": [{"port": 8080, "type": "http"}],
        "endpoints": [{"port": 8080, "type": "http", "url": "http://127.0.0.1:8080"}] if running else [],
    }
    machine = Machine.objects.create(instance=instance, **{**values, **columns})
    instance.machine = machine
    instance.save(update_fields=["machine"])
    return machine


def make_instance(
    *, status: str = "running", now: datetime = NOW, machine: dict[str, Any] | None = None, **columns: Any
) -> Instance:
    """A managed instance whose wish is met by what Novita shows; without a machine where `status` is ""."""
    number = next(_numbers)
    observed = observed_of(status)
    managed = bool(columns.get("managed", True))
    wanted = "stopped" if observed is Observed.EXITED else "running"
    values: dict[str, Any] = {
        "name": f"worker-{number}",
        "product_name": "RTX 4090 24GB",
        "image_url": "docker.io/library/busybox:1",
        "ports": [{"port": 8080, "type": "http"}],
        "wanted": wanted if managed else "",
        "wanted_at": now if managed else None,
        "met_at": now if managed and status else None,
        "created_at": now,
        "phase_since": now,
        "ready_at": now if observed is Observed.RUNNING else None,
    }
    instance = Instance.objects.create(**{**values, **columns})
    if status:
        make_machine(instance, status=status, now=now, **(machine or {}))
    refresh_phase(instance, now=now)
    return instance


def make_job(instance: Instance, *, verb: str = "stop", state: str = "queued", now: datetime = NOW, **columns: Any) -> Job:
    if verb in WISH_VERBS:
        instance.wanted, instance.wanted_at, instance.met_at = WISH_VERBS[Verb(verb)], now, None
        instance.save(update_fields=["wanted", "wanted_at", "met_at"])
    finished = state not in ("queued", "claimed", "sent", "confirming")
    values: dict[str, Any] = {
        "requested_by_kind": PERSON.kind,
        "requested_by_name": PERSON.name,
        "next_attempt_at": now,
        "created_at": now,
        "finished_at": now if finished else None,
    }
    job = Job.objects.create(instance=instance, verb=verb, state=state, **{**values, **columns})
    refresh_phase(instance, now=now)
    return job


def make_reclaim(instance: Instance, *, state: str = "decided", now: datetime = NOW, **columns: Any) -> Reclaim:
    """Taken back and found so, nothing tried yet."""
    values: dict[str, Any] = {"machine": instance.machine, "reclaim_at": now, "seen_at": now, "taken_at": now}
    return Reclaim.objects.create(instance=instance, state=state, **{**values, **columns})


def make_offer(
    *,
    product_name: str = "RTX 4090 24GB",
    region: str = "CN-HK-01",
    spot: str | None = "0.35",
    on_demand: str | None = "0.69",
    now: datetime = NOW,
    **columns: Any,
) -> Offer:
    cluster, _ = Cluster.objects.get_or_create(
        id=f"cluster-{region}", defaults={"name": f"{region} (somewhere)", "region": region, "refreshed_at": now}
    )
    values: dict[str, Any] = {
        "product_id": f"{product_name.lower().replace(' ', '-')}-{region.lower()}",
        "cpu_per_gpu": 16,
        "memory_gb_per_gpu": 62,
        "min_rootfs_gb": 10,
        "max_rootfs_gb": 6144,
        "available": True,
        "inventory": "high",
        "refreshed_at": now,
    }
    return Offer.objects.create(
        cluster=cluster,
        product_name=product_name,
        spot_usd_per_gpu_hour=None if spot is None else Decimal(spot),
        on_demand_usd_per_gpu_hour=None if on_demand is None else Decimal(on_demand),
        **{**values, **columns},
    )


def make_template(template_id: str = "template-1", *, now: datetime = NOW, **columns: Any) -> Template:
    values: dict[str, Any] = {
        "name": "Busybox",
        "channel": "official",
        "image_url": "docker.io/library/busybox:1",
        "ports": [{"port": 8888, "type": "http"}],
        "envs": [{"key": "TOKEN", "value": "from-the-template"}],
        "rootfs_size_gb": 80,
        "refreshed_at": now,
    }
    return Template.objects.create(id=template_id, **{**values, **columns})


def make_storage(
    storage_id: str = "storage-1", *, cluster_id: str = "cluster-CN-HK-01", now: datetime = NOW
) -> NetworkStorage:
    return NetworkStorage.objects.create(
        id=storage_id, name=storage_id, cluster_id=cluster_id, size_gb=100, refreshed_at=now
    )


def make_account(*, now: datetime = NOW, **columns: Any) -> ProviderAccount:
    values: dict[str, Any] = {"name": "simulator", "first_contact_at": now, "complete_list_at": now}
    return ProviderAccount.objects.create(**{**values, **columns})


def make_key(*scopes: str, name: str = "tests", owner: str = "", **columns: Any) -> tuple[ApiKey, str]:
    """A key and its plain text; admin where no scope is named."""
    return ApiKey.objects.issue(name=name, scopes=list(scopes) or ["admin"], owner=owner, **columns)


def client_of(plain_key: str) -> Client:
    """A client that sends the key, and JSON bodies where `content_type` says so."""
    return Client(HTTP_AUTHORIZATION=f"Bearer {plain_key}")

"""Novita's catalogue as values, and a source that returns them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from instances.novita import types
from instances.novita.coerce import SecretMapping
from instances.novita.errors import NotFound, NovitaError

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def cluster(key: str, name: str) -> types.Cluster:
    return types.Cluster(id=key, name=name, region=types.region_of(name), supports_network_storage=True)


def product(key: str = "4090.16c", name: str = "RTX 4090 24GB", **changes: Any) -> types.Product:
    facts: dict[str, Any] = {
        "id": key,
        "name": name,
        "cpu_per_gpu": 16,
        "memory_gb_per_gpu": 62,
        "disk_gb_per_gpu": 60,
        "min_rootfs_gb": 10,
        "max_rootfs_gb": 6144,
        "available": True,
        "regions": (),
        "price_usd_per_gpu_hour": Decimal("0.67"),
        "spot_price_usd_per_gpu_hour": Decimal("0.35"),
        "billing_modes": ("on_demand", "monthly", "spot"),
        "inventory": "normal",
    }
    return types.Product(**{**facts, **changes})


def template(key: str = "100", **changes: Any) -> types.Template:
    facts: dict[str, Any] = {
        "id": key,
        "name": "PyTorch",
        "image": "pytorch/pytorch:2.5",
        "image_auth_id": "login",
        "start_command": "serve",
        "entrypoint": "/bin/sh",
        "rootfs_size_gb": 80,
        "ports": ((8080, "http"),),
        "envs": SecretMapping({"TOKEN": "hidden", "MODE": "fast"}),
        "tools": (types.Tool(name="Jupyter", port=8888, type="http"),),
        "min_cuda_version": "12.4",
    }
    return types.Template(**{**facts, **changes})


@dataclass(eq=False)
class Novita:
    """Novita's catalogue as the client would return it, with a note of what was asked."""

    clusters: list[types.Cluster] = field(
        default_factory=lambda: [cluster("hk", "CN-HK-01"), cluster("us", "US-01 (Dallas)")]
    )
    products: dict[str, list[types.Product]] = field(default_factory=lambda: {"hk": [product()], "us": [product()]})
    templates: dict[str, list[types.Template]] = field(default_factory=lambda: {"official": [template()]})
    storages: list[types.NetworkStorage] = field(default_factory=list)
    community: dict[str, types.Template] = field(default_factory=dict)
    errors: dict[str, NovitaError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def _ask(self, what: str) -> None:
        self.calls.append(what)
        if what in self.errors:
            raise self.errors[what]

    def list_clusters(self) -> list[types.Cluster]:
        self._ask("clusters")
        return self.clusters

    def list_products(self, *, gpu_num: int | None = None, cluster_id: str = "") -> list[types.Product]:
        self._ask(f"products {cluster_id} {gpu_num}")
        return self.products.get(cluster_id, [])

    def list_templates(self, channel: str, *, mine: bool) -> list[types.Template]:
        self._ask(f"templates {channel} {mine}")
        return self.templates.get(channel, [])

    def get_template(self, template_id: str) -> types.Template:
        self._ask(f"template {template_id}")
        if template_id not in self.community:
            raise NotFound("template not found")
        return self.community[template_id]

    def list_network_storages(self) -> list[types.NetworkStorage]:
        self._ask("storages")
        return self.storages

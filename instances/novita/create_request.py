"""What a new instance shall be, and how Novita wants it written."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from instances.novita.catalogue import Tool, wire_billing_mode
from instances.novita.coerce import SecretMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkMount:
    """A network storage to mount; it must be in the instance's cluster."""

    storage_id: str
    mount_point: str = "/network"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """The arguments of a create. `ports` are (port, type); `kind` is gpu or cpu.

    An empty `cluster_id` lets Novita choose any cluster. Env values are not in the repr.
    """

    name: str
    product_id: str
    image_url: str
    gpu_num: int = 1
    rootfs_size_gb: int = 60
    image_auth_id: str = ""
    ports: tuple[tuple[int, str], ...] = ()
    envs: Mapping[str, str] = field(default_factory=SecretMapping, repr=False)
    tools: tuple[Tool, ...] = ()
    command: str = ""
    entrypoint: str = ""
    cluster_id: str = ""
    network_storages: tuple[NetworkMount, ...] = ()
    billing_mode: str = "on_demand"
    min_cuda_version: str = ""
    kind: str = "gpu"

    def to_api(self) -> dict[str, object]:
        """The JSON body; members that say nothing are left out."""
        body: dict[str, object] = {
            "name": self.name,
            "productId": self.product_id,
            "imageUrl": self.image_url,
            "imageAuthId": self.image_auth_id,
            "ports": ", ".join(f"{port}/{kind}" for port, kind in self.ports),
            "envs": [{"key": key, "value": value} for key, value in self.envs.items()],
            "tools": [{"name": tool.name, "port": str(tool.port), "type": tool.type} for tool in self.tools],
            "command": self.command,
            "entrypoint": self.entrypoint,
            "clusterId": self.cluster_id,
            "networkStorages": [
                {"Id": mount.storage_id, "mountPoint": mount.mount_point} for mount in self.network_storages
            ],
            "billingMode": wire_billing_mode(self.billing_mode),
            "minCudaVersion": self.min_cuda_version,
            "kind": self.kind,
        }
        if self.kind != "cpu":
            body |= {"gpuNum": self.gpu_num, "rootfsSize": self.rootfs_size_gb}
        return {key: value for key, value in body.items() if value not in ("", [])}

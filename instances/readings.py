"""One reading of a machine as the columns it fills. Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from instances.lifecycle import Observed, observed_of
from instances.models import Machine
from instances.novita.types import InstanceDetail, RemoteInstance

# Columns a reading compares and writes; times and sizes that Novita leaves out keep what is stored.
COMPARED = (
    "provider_name",
    "status",
    "status_error",
    "cluster_id",
    "region",
    "product_id",
    "product_name",
    "gpu_num",
    "cpu_num",
    "rootfs_size_gb",
    "image_url",
    "billing_mode",
    "price_usd_per_hour",
    "spot_status",
    "reclaim_at",
    "ports",
    "started_at",
    "stopped_at",
)
_MAXIMUM = {
    "provider_name": 255,
    "status": 63,
    "status_error": 1000,
    "spot_status": 63,
    "billing_mode": 20,
    "image_url": 500,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one read said of one machine. `columns` holds what it said; a missing name was left out by Novita."""

    novita_id: str
    columns: dict[str, Any]
    created_at: datetime | None = None

    @property
    def observed(self) -> Observed:
        return observed_of(str(self.columns["status"]))

    @property
    def tells_spot(self) -> bool:
        return "spot_status" in self.columns


def reading_of(remote: RemoteInstance) -> Reading:
    """A remote instance as columns; unknown words are kept raw, values too long for a column are cut."""
    error = ": ".join(part for part in (remote.status_error_state, remote.status_error_message) if part)
    columns: dict[str, Any] = {
        "provider_name": remote.name,
        "status": remote.status or "(no status)",
        "status_error": error,
        "billing_mode": remote.billing_mode,
        "ports": [{"port": one.port, "type": one.type} for one in remote.ports],
    }
    said = {
        "cluster_id": remote.cluster_id,
        "region": remote.region or remote.cluster_name,
        "product_id": remote.product_id,
        "product_name": remote.product_name,
        "gpu_num": remote.gpu_num,
        "cpu_num": remote.cpu_num,
        "rootfs_size_gb": remote.rootfs_size_gb,
        "image_url": remote.image_url,
        "price_usd_per_hour": _price(remote),
        "started_at": remote.started_at,
        "stopped_at": remote.stopped_at,
    }
    columns |= {name: value for name, value in said.items() if value}
    if remote.tells_spot:
        columns |= {"spot_status": remote.spot_status, "reclaim_at": remote.spot_reclaim_at}
    columns = {name: _fitting(name, value) for name, value in columns.items()}
    return Reading(novita_id=remote.id, columns=columns, created_at=remote.created_at)


def changes(machine: Machine, reading: Reading) -> dict[str, Any]:
    """The observed columns that differ from the row."""
    return {name: value for name, value in reading.columns.items() if getattr(machine, name) != value}


def endpoints_of(detail: InstanceDetail) -> list[dict[str, Any]]:
    """Where its ports answer: [{"port", "type", "url"}], only those Novita gave an address for."""
    return [{"port": one.port, "type": one.type, "url": one.endpoint} for one in detail.ports if one.endpoint]


def connection_of(detail: InstanceDetail) -> dict[str, Any]:
    """How people get in, with passwords: for the encrypted column alone."""
    found: dict[str, Any] = {}
    if detail.ssh:
        found["ssh"] = {"command": detail.ssh.command, "password": detail.ssh.password}
    if detail.jupyter and detail.jupyter.address:
        found["jupyter"] = {"url": detail.jupyter.address}
    if detail.web_terminal and detail.web_terminal.address:
        terminal = detail.web_terminal
        found["web_terminal"] = {
            "url": terminal.address,
            "username": terminal.username,
            "password": terminal.password,
        }
    if detail.instance_log_address or detail.system_log_address:
        found["logs"] = {"instance": detail.instance_log_address, "system": detail.system_log_address}
    return found


def _price(remote: RemoteInstance) -> Decimal | None:
    """For the whole instance: Novita's `instancePrice` is per GPU."""
    if remote.price_usd_per_gpu_hour is None:
        return None
    return remote.price_usd_per_gpu_hour * max(1, remote.gpu_num)


def _fitting(name: str, value: Any) -> Any:
    return value[: _MAXIMUM.get(name, 255)] if isinstance(value, str) else value

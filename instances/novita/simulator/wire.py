"""Instances and jobs as the provider writes them: counters, prices and times as strings, sizes as numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from instances.novita.simulator.catalogue import CLUSTERS
from instances.novita.simulator.ledger import DISK_RATE
from instances.novita.simulator.records import Instance, Job, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where things can be reached; `tcp_port` is None while no socket is open for that instance and port."""

    base_url: str
    host: str
    ssh_port: int
    tcp_port: Callable[[str, int], int | None]


def epoch(at: float) -> str:
    return str(int(at))


def port_mappings(instance: Instance, addresses: Addresses, *, is_running: bool) -> list[dict[str, Any]]:
    return [
        {
            "port": port,
            "endpoint": _endpoint(instance, addresses, port, kind) if is_running else "",
            "type": kind,
        }
        for port, kind in instance.all_ports
    ]


def _endpoint(instance: Instance, addresses: Addresses, port: int, kind: str) -> str:
    if kind == "http":
        return f"{addresses.base_url}/_endpoint/{instance.id}/{port}/"
    outside = addresses.tcp_port(instance.id, port)
    return f"{addresses.host}:{outside}" if outside else ""


def common(instance: Instance, addresses: Addresses, moment: Moment, now: float) -> dict[str, Any]:
    """What list and get share; `moment` may be an older one than the instance's last."""
    return {
        "id": instance.id,
        "name": instance.name,
        "clusterId": instance.cluster_id,
        "clusterName": CLUSTERS[instance.cluster_id].name,
        "status": moment.status,
        "imageUrl": instance.image_url,
        "imageAuthId": instance.image_auth_id,
        "command": instance.command,
        "entrypoint": instance.entrypoint,
        "cpuNum": str(instance.cpu_num),
        "memory": str(instance.memory_gb),
        "gpuNum": str(instance.gpu_num),
        "gpuIds": [str(number) for number in range(instance.gpu_num)],
        "portMappings": port_mappings(instance, addresses, is_running=moment.status == "running"),
        "productId": instance.product_id,
        "productName": instance.product_name,
        "rootfsSize": instance.rootfs_gb,
        "volumeMounts": volume_mounts(instance),
        "statusError": {"state": instance.error_state, "message": instance.error_message},
        "envs": instance.envs,
        "kind": instance.kind,
        "billingMode": instance.billing_mode,
        "endTime": epoch(instance.end_at) if instance.end_at else "-1",
        "spotStatus": moment.spot_status,
        "spotReclaimTime": epoch(moment.reclaim_at),
        "createdAt": epoch(instance.created_at),
        "lastStartedAt": epoch(instance.started_at),
        "lastStoppedAt": epoch(instance.stopped_at),
        "useTime": epoch(use_time(instance, now)),
        "instancePrice": str(instance.price),
        "sshPassword": instance.password,
    }


def detail(instance: Instance, addresses: Addresses, moment: Moment, now: float) -> dict[str, Any]:
    """The flat object of get."""
    return {
        **common(instance, addresses, moment, now),
        **_connections(instance, addresses, is_running=moment.status == "running"),
        "network": {"id": instance.network_id, "ip": "10.2.1.7" if instance.network_id else ""},
        "jobs": [],
        "tools": [{**tool, "port": str(tool["port"])} for tool in instance.tools],
        "freeStorageSize": 60,
        "keepDataDay": 7,
        "releaseDataAt": epoch(instance.release_data_at),
        "localStoragePrice": str(DISK_RATE),
        "exitedLocalStoragePrice": str(DISK_RATE),
        "monthlyPrice": [],
        "version": "v2",
    }


def _connections(instance: Instance, addresses: Addresses, *, is_running: bool) -> dict[str, Any]:
    url = f"{addresses.base_url}/_endpoint/{instance.id}"
    log = f"{addresses.base_url}/_log/{instance.id}"
    jupyter = next((tool for tool in instance.tools if tool["name"] == "Jupyter"), None)
    return {
        "connectComponentSSH": {
            "sshCommand": f"ssh -p {addresses.ssh_port} root@{addresses.host}" if is_running else "",
            "password": instance.password,
            "isRunning": instance.service_up,
        },
        "connectComponentWebTerminal": {
            "address": f"{url}/terminal/" if is_running else "",
            "username": "root",
            "password": instance.password,
            "isRunning": instance.service_up,
        },
        "connectComponentJupyter": {
            "port": jupyter["port"] if jupyter else 0,
            "address": f"{url}/{jupyter['port']}/" if jupyter and is_running else "",
            "isRunning": bool(jupyter) and instance.service_up,
        },
        "connectComponentLog": {
            "systemLogAddress": f"{log}/system",
            "instanceLogAddress": f"{log}/instance",
            "isRunning": is_running,
        },
    }


def volume_mounts(instance: Instance) -> list[dict[str, str]]:
    local = {"type": "local", "size": str(instance.rootfs_gb), "id": "", "mountPath": "/workspace"}
    return [local] + [
        {"type": "network", "size": s["size"], "id": s["id"], "mountPath": s["mountPath"]} for s in instance.storages
    ]


def use_time(instance: Instance, now: float) -> float:
    """Metered seconds so far."""
    return sum(max(0.0, (now if i.end is None else i.end) - i.start) for i in instance.intervals if i.kind == "compute")


def job(record: Job, now: float, base_url: str) -> dict[str, Any]:
    state = record.state_at(now)
    return {
        "Id": record.id,
        "user": "simulated-user",
        "type": record.type,
        "envs": [],
        "state": {"state": state, "error": record.error, "errorMessage": record.error_message},
        "logAddress": f"{base_url}/_log/{record.instance_id}/system",
        "createdAt": epoch(record.created_at),
        "instanceId": record.instance_id,
    }

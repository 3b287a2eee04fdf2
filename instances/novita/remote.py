"""What runs in the account: instances as listed and as read by id, jobs, metrics."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from instances.novita.catalogue import Tool, billing_mode_of, region_of, tools_of
from instances.novita.coerce import Fields, Json, SecretMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    """An exposed port; `endpoint` is a URL for http and host:port for tcp, '' while unknown."""

    port: int
    type: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeMount:
    """A mounted disk: `type` is network or local, `id` that of a NetworkStorage."""

    type: str
    id: str
    size_gb: int
    mount_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteInstance:
    """One instance as Novita tells it. `status` and `spot_status` are Novita's words, known or not.

    The price is per GPU. `spot_reclaim_at` is the deadline while spot_status is `notified`; `tells_spot` is False for an
    answer without spot fields, which are promised by lists alone.
    """

    id: str
    name: str = ""
    status: str = ""
    status_error_state: str = ""
    status_error_message: str = ""
    cluster_id: str = ""
    cluster_name: str = ""
    region: str = ""
    product_id: str = ""
    product_name: str = ""
    kind: str = ""
    gpu_num: int = 0
    cpu_num: int = 0
    memory_gb: int = 0
    rootfs_size_gb: int = 0
    image_url: str = ""
    image_auth_id: str = ""
    command: str = ""
    entrypoint: str = ""
    billing_mode: str = ""
    price_usd_per_gpu_hour: Decimal | None = None
    spot_status: str = ""
    spot_reclaim_at: datetime | None = None
    tells_spot: bool = True
    ports: tuple[PortMapping, ...] = ()
    env: SecretMapping = field(default_factory=SecretMapping)
    tools: tuple[Tool, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    created_at: datetime | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    end_at: datetime | None = None

    @property
    def env_keys(self) -> tuple[str, ...]:
        """The names of the environment variables, which are no secret."""
        return tuple(self.env)

    @classmethod
    def from_api(cls, raw: Json) -> Self:
        return cls(**_instance_values(Fields(raw)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job Novita runs on an instance now."""

    id: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAccess:
    command: str
    password: str = field(default="", repr=False)
    running: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WebTerminal:
    address: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    running: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JupyterAccess:
    port: int
    address: str = field(default="", repr=False)
    running: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceDetail(RemoteInstance):
    """One instance read by id, with what only that read tells. Disk prices are USD per GB and day."""

    jobs: tuple[RunningJob, ...] = ()
    ssh: SshAccess | None = None
    web_terminal: WebTerminal | None = None
    jupyter: JupyterAccess | None = None
    instance_log_address: str = field(default="", repr=False)
    system_log_address: str = field(default="", repr=False)
    network_id: str = ""
    network_ip: str = ""
    free_storage_gb: int = 0
    keep_data_days: int = 0
    release_data_at: datetime | None = None
    disk_price_usd_per_gb_day: Decimal | None = None
    stopped_disk_price_usd_per_gb_day: Decimal | None = None
    version: str = ""

    @classmethod
    def from_api(cls, raw: Json) -> Self:
        fields = Fields(raw)
        log = fields.part("connectComponentLog") or Fields({})
        network = fields.part("network") or Fields({})
        return cls(
            **_instance_values(fields),
            jobs=tuple(RunningJob(id=part.text("id", "Id"), type=part.text("type")) for part in fields.parts("jobs")),
            ssh=_ssh(fields),
            web_terminal=_web_terminal(fields),
            jupyter=_jupyter(fields),
            instance_log_address=log.text("instanceLogAddress"),
            system_log_address=log.text("systemLogAddress"),
            network_id=network.text("id"),
            network_ip=network.text("ip"),
            free_storage_gb=fields.number("freeStorageSize"),
            keep_data_days=fields.number("keepDataDay"),
            release_data_at=fields.time("releaseDataAt"),
            disk_price_usd_per_gb_day=fields.price("localStoragePrice"),
            stopped_disk_price_usd_per_gb_day=fields.price("exitedLocalStoragePrice"),
            version=fields.text("version"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceList:
    """What the pages of one listing said together.

    `complete`: every page agreed on one total and that many different ids were seen; only then does absence
    mean anything. Otherwise `problem` says why not; `disagrees`: its pages contradict each other, though all were read.
    `began_at` is before the first byte was asked for.
    """

    instances: tuple[RemoteInstance, ...]
    total: int
    complete: bool
    pages: int
    began_at: datetime
    problem: str = ""
    disagrees: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """A job at Novita. `state` is its word: pulling, running, fail, success, break, or another."""

    id: str
    type: str = ""
    state: str = ""
    error: str = ""
    error_message: str = ""
    instance_id: str = ""
    created_at: datetime | None = None
    log_address: str = field(default="", repr=False)

    @classmethod
    def from_api(cls, raw: Json) -> "RemoteJob":
        fields = Fields(raw)
        state = fields.part("state")
        return cls(
            id=fields.identity("Id", "id", "jobId"),
            type=fields.text("type"),
            state=state.text("state") if state else fields.text("state"),
            error=state.text("error") if state else "",
            error_message=state.text("errorMessage", "message") if state else "",
            instance_id=fields.text("instanceId"),
            created_at=fields.time("createdAt"),
            log_address=fields.text("logAddress"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """A percentage at a time."""

    at: datetime
    value: float


Series = tuple[MetricPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceMetrics:
    """Percentages, oldest first; an empty series is no data. `cpu` sums over cores: 800 is 8 busy cores."""

    cpu: Series = ()
    memory: Series = ()
    disk: Series = ()
    gpu_avg: Series = ()
    gpus: Mapping[str, Series] = field(default_factory=dict)
    gpu_memory_avg: Series = ()

    @classmethod
    def from_api(cls, raw: Json) -> "InstanceMetrics":
        fields = Fields(raw)
        gpu = fields.part("gpuUtilization") or Fields({})
        gpu_memory = fields.part("gpuMemUtilization") or Fields({})
        return cls(
            cpu=_series(fields, "cpuUtilization"),
            memory=_series(fields, "memUtilization"),
            disk=_series(fields, "rootDiskUtilization"),
            gpu_avg=_series(gpu, "avg"),
            gpus={part.text("gpuId"): _series(part, "items") for part in gpu.parts("gpuIds")},
            gpu_memory_avg=_series(gpu_memory, "avg"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTail:
    """The end of a log as far as it was read. `complete`: the whole log was read and fits."""

    text: str = field(repr=False)
    complete: bool


def _instance_values(fields: Fields) -> dict[str, Any]:
    """The members a list item and a detail share."""
    error = fields.part("statusError") or Fields({})
    cluster_name = fields.text("clusterName")
    return {
        "id": fields.identity("id"),
        "name": fields.text("name"),
        "status": fields.text("status"),
        "status_error_state": error.text("state"),
        "status_error_message": error.text("message"),
        "cluster_id": fields.text("clusterId"),
        "cluster_name": cluster_name,
        "region": region_of(cluster_name),
        "product_id": fields.text("productId"),
        "product_name": fields.text("productName"),
        "kind": fields.text("kind"),
        "image_url": fields.text("imageUrl"),
        "image_auth_id": fields.text("imageAuthId"),
        "command": fields.text("command"),
        "entrypoint": fields.text("entrypoint"),
        "billing_mode": billing_mode_of(fields.text("billingMode")),
        "price_usd_per_gpu_hour": fields.price("instancePrice"),
        "spot_status": fields.text("spotStatus"),
        "spot_reclaim_at": fields.time("spotReclaimTime"),
        "tells_spot": "spotStatus" in fields or "spotReclaimTime" in fields,
        "env": SecretMapping(fields.pairs("envs")),
        "tools": tools_of(fields),
        "created_at": fields.time("createdAt"),
        "started_at": fields.time("lastStartedAt", "startedAt"),
        "stopped_at": fields.time("lastStoppedAt", "stoppedAt"),
        "end_at": fields.time("endTime"),
        **_sizes_and_disks(fields),
    }


def _sizes_and_disks(fields: Fields) -> dict[str, Any]:
    return {
        "gpu_num": fields.number("gpuNum"),
        "cpu_num": fields.number("cpuNum"),
        "memory_gb": fields.number("memory"),
        "rootfs_size_gb": fields.number("rootfsSize"),
        "ports": tuple(
            PortMapping(port=part.number("port"), type=part.text("type"), endpoint=part.text("endpoint"))
            for part in fields.parts("portMappings")
        ),
        "volume_mounts": tuple(
            VolumeMount(
                type=part.text("type"),
                id=part.text("id"),
                size_gb=part.number("size"),
                mount_path=part.text("mountPath"),
            )
            for part in fields.parts("volumeMounts")
        ),
    }


def _ssh(fields: Fields) -> SshAccess | None:
    part = fields.part("connectComponentSSH")
    if part is not None:
        return SshAccess(command=part.text("sshCommand"), password=part.text("password"), running=part.flag("isRunning"))
    command = fields.text("sshCommand")  # the older, flat form
    return SshAccess(command=command, password=fields.text("sshPassword", "password")) if command else None


def _web_terminal(fields: Fields) -> WebTerminal | None:
    part = fields.part("connectComponentWebTerminal")
    if part is None:
        return None
    return WebTerminal(
        address=part.text("address"),
        username=part.text("username"),
        password=part.text("password"),
        running=part.flag("isRunning"),
    )


def _jupyter(fields: Fields) -> JupyterAccess | None:
    part = fields.part("connectComponentJupyter")
    if part is None:
        return None
    return JupyterAccess(port=part.number("port"), address=part.text("address"), running=part.flag("isRunning"))


def _series(fields: Fields, name: str) -> Series:
    """The points of a series with a time and a finite value, oldest first."""
    points = []
    for part in fields.parts(name):
        at, text = part.time("timestamp"), part.text("value").strip()
        value = _finite(text)
        if at is not None and value is not None:
            points.append(MetricPoint(at=at, value=value))
    return tuple(sorted(points, key=lambda point: point.at))


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

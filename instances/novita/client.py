"""Novita's API: one method per endpoint, typed values out, errors of `errors` out, nothing remembered.

Endpoints and their quirks: https://novita.ai/docs/api-reference/ (gpu-instance-* and basic-get-user-balance).
"""

import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from instances.novita.breaker import Breaker, CallKind
from instances.novita.catalogue import wire_billing_mode
from instances.novita.endpoints import ACCOUNT, GPU, PAGE_SIZE, Endpoints, created_id, found, job_id_in
from instances.novita.errors import InvalidRequest, NotFound, Unavailable
from instances.novita.pace import Pace, Rank
from instances.novita.transport import Call, CallRecord, Manners, Sources, Transport, request_id
from instances.novita.types import (
    Balance,
    Cluster,
    CpuProduct,
    CreateRequest,
    InstanceDetail,
    InstanceList,
    InstanceMetrics,
    LogTail,
    NetworkStorage,
    Product,
    RegistryAuth,
    RemoteInstance,
    RemoteJob,
    Template,
)

__all__ = ["CallKind", "CallRecord", "Novita", "Rank", "request_id"]

_METRICS_GRAIN = timedelta(seconds=15)
_SHORTEST_METRICS_SPAN = timedelta(seconds=60)
_LONGEST_TAIL = 4 * 1024 * 1024


class Novita(Endpoints):
    """The account behind one API key. Safe to share between threads; several calls may be in flight.

    `pace` and `breaker` are shared with others who call the same account, or made for this object alone.
    `on_call` gets a record of every attempt and must be quick.
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str = "https://api.novita.ai",
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        retry_attempts: int = 3,
        retry_delay: float = 1.0,
        pace: Pace | None = None,
        breaker: Breaker | None = None,
        on_call: Callable[[CallRecord], None] | None = None,
        pool_size: int = 32,
        max_response_bytes: int = 32 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        manners = Manners(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            retry_attempts=retry_attempts,
            retry_delay=retry_delay,
            pool_size=pool_size,
            max_response_bytes=max_response_bytes,
        )
        self._sources = Sources(clock=clock, sleep=sleep, rng=rng)
        transport = Transport(
            api_key=api_key,
            base_url=base_url,
            manners=manners,
            sources=self._sources,
            pace=pace,
            breaker=breaker,
            on_call=on_call,
        )
        super().__init__(transport)

    def __repr__(self) -> str:
        return f"Novita({self._transport.base_url!r})"

    def close(self) -> None:
        """Close idle connections; the object stays usable."""
        self._transport.close()

    # Catalogue and account

    def list_clusters(self) -> tuple[Cluster, ...]:
        return self._catalogue("list_clusters", "/clusters", Cluster.from_api)

    def list_products(
        self, *, gpu_num: int | None = None, cluster_id: str = "", billing_mode: str = "", name: str = ""
    ) -> tuple[Product, ...]:
        """GPU products; ask with `gpu_num`, or the answer may be about another count, and per cluster.

        Those without a readable price are left out.
        """
        params: dict[str, str | int] = {
            "clusterId": cluster_id,
            "billingMethod": wire_billing_mode(billing_mode),
            "productName": name,
        }
        if gpu_num is not None:
            params["gpuNum"] = gpu_num
        return self._catalogue("list_products", "/products", Product.from_api, params)

    def list_cpu_products(self, *, cluster_id: str = "") -> tuple[CpuProduct, ...]:
        params: dict[str, str | int] = {"clusterId": cluster_id}
        return self._catalogue("list_cpu_products", "/cpu/products", CpuProduct.from_api, params)

    def list_templates(self, channel: str = "", *, mine: bool = False, name: str = "") -> tuple[Template, ...]:
        """Templates of a channel: official, community or private; `mine` goes with private."""
        params: dict[str, str | int] = {
            "channel": channel,
            "isMyCommunity": "true" if mine else "false",
            "name": name,
        }
        call = self._catalogue_call("list_templates", "/templates", params)
        return self._pages(call, Template.from_api, ("template", "templates", "data")).items

    def get_template(self, template_id: str) -> Template:
        """One template by id; raises NotFound."""
        call = self._catalogue_call("get_template", "/template", {"templateId": template_id})
        return self._transport.send(call, found(Template.from_api, "Id", "template", "data"))

    def list_registry_auths(self) -> tuple[RegistryAuth, ...]:
        return self._catalogue("list_registry_auths", "/repository/auths", RegistryAuth.from_api)

    def list_network_storages(self) -> tuple[NetworkStorage, ...]:
        call = self._catalogue_call("list_network_storages", "/networkstorages/list")
        return self._pages(call, NetworkStorage.from_api, ("data",), number_name="pageNo").items

    def balance(self) -> Balance:
        call = Call(kind=CallKind.BALANCE, operation="balance", path=f"{ACCOUNT}/billing/balance/detail")
        return self._transport.send(call, Balance.from_api)

    # Instances

    def create_instance(self, request: CreateRequest) -> str:
        """Asks for an instance and returns its id; raises Unknown if it may exist all the same.

        Novita has no idempotency key: after Unknown look for the name, do not ask again.
        """
        call = Call(
            kind=CallKind.CREATE,
            operation="create_instance",
            path=f"{GPU}/gpu/instance/create",
            rank=Rank.WRITE,
            body=request.to_api(),
            secrets=tuple(request.envs.values()),
        )
        return self._transport.send(call, created_id)

    def list_instances(
        self,
        *,
        name: str = "",
        status: str = "",
        page_size: int = PAGE_SIZE,
        rank: Rank = Rank.LIST,
        on_page: Callable[[int], None] | None = None,
    ) -> InstanceList:
        """Every page; ⌈N/page_size⌉ requests, or one more. `name` is a fuzzy filter.

        Raises when the first page fails; a later failure makes the list incomplete.
        """
        began_at = self._sources.now()
        call = Call(
            kind=CallKind.LIST,
            operation="list_instances",
            path=f"{GPU}/gpu/instances",
            rank=rank,
            params={"name": name, "status": status},
        )
        pages = self._pages(call, RemoteInstance.from_api, ("instances",), page_size=page_size, on_page=on_page)
        return InstanceList(
            instances=pages.items,
            total=pages.total,
            complete=pages.complete,
            pages=pages.pages,
            began_at=began_at,
            problem=pages.problem,
            disagrees=pages.disagrees,
        )

    def get_instance(self, instance_id: str, *, rank: Rank = Rank.REST) -> InstanceDetail:
        """One instance by id; raises NotFound, which Novita says in four ways."""
        call = Call(
            kind=CallKind.GET,
            operation="get_instance",
            path=f"{GPU}/gpu/instance",
            rank=rank,
            params={"instanceId": instance_id},
            instance_id=instance_id,
        )
        detail = self._transport.send(call, found(InstanceDetail.from_api, "id", "instance", "data"))
        if detail.id != instance_id:
            raise Unavailable("the answer is about another instance", status=200, reason="UNREADABLE_BODY")
        return detail

    def start_instance(self, instance_id: str) -> None:
        """Asks for a start; raises NoCapacity when no GPU is free, and the instance stays as it is."""
        self._command("start", instance_id)

    def stop_instance(self, instance_id: str) -> None:
        self._command("stop", instance_id)

    def restart_instance(self, instance_id: str) -> None:
        self._command("restart", instance_id)

    def delete_instance(self, instance_id: str) -> None:
        """Asks for deletion; raises NotFound if it is gone already."""
        self._command("delete", instance_id)

    def edit_instance(
        self,
        instance_id: str,
        *,
        ports: Sequence[tuple[int, str]] | None = None,
        expand_root_disk_gb: int = 0,
    ) -> None:
        """Replaces all exposed ports by `ports` (None: leaves them), and grows the root disk by so many GB."""
        body: dict[str, object] = {}
        if ports is not None:
            body["ports"] = [{"port": port, "type": kind} for port, kind in ports]
        if expand_root_disk_gb:
            body["expandRootDisk"] = expand_root_disk_gb
        self._command("edit", instance_id, body)

    def migrate_instance(self, instance_id: str) -> str:
        """Moves it to another node, keeping the id and losing local disks; the job's id, or '' if untold."""
        return job_id_in(self._command("migrate", instance_id))

    def set_auto_migrate(self, instance_id: str, *, enabled: bool, include_system_disk: bool) -> None:
        body: dict[str, object] = {
            "autoMigrateOpen": enabled,
            "autoMigrateSystemDisk": include_system_disk,
        }
        self._command("setAutoMigrate", instance_id, body)

    def instance_metrics(
        self,
        instance_id: str,
        start: datetime,
        end: datetime,
        *,
        interval: timedelta = _METRICS_GRAIN,
    ) -> InstanceMetrics:
        """Use between two aware times, about a minute late; at least 60 s and 15 s steps are asked for.

        What Novita finds invalid it silently replaces by its defaults, hence the bounds.
        """
        end = min(end, self._sources.now())
        start = min(start, end - _SHORTEST_METRICS_SPAN)
        call = Call(
            kind=CallKind.METRICS,
            operation="instance_metrics",
            path=f"{ACCOUNT}/metrics/gpu/instance",
            params={
                "instanceId": instance_id,
                "startTime": int(start.timestamp()),
                "endTime": int(end.timestamp()),
                "interval": int(max(interval, _METRICS_GRAIN).total_seconds()),
            },
            instance_id=instance_id,
        )
        return self._transport.send(call, InstanceMetrics.from_api)

    def container_log(self, address: str, *, tail_bytes: int = 64 * 1024, seconds: float = 10.0) -> LogTail:
        """The end of a log Novita gave the address of, as far as it comes within `seconds`.

        Follows no redirect; the API key goes to the API's own origin only. Raises InvalidRequest for what
        is no http(s) address.
        """
        if not address.startswith(("http://", "https://")):
            raise InvalidRequest("a log address must be http or https", reason="LOG_ADDRESS")
        size = max(1, min(tail_bytes, _LONGEST_TAIL))
        status, body, complete = self._transport.tail(address, size, seconds)
        if status == 404:
            raise NotFound("there is no such log", status=status, reason="LOG_HOST")
        if status >= 300:
            raise Unavailable("the log's host does not answer with a log", status=status, reason="LOG_HOST")
        return LogTail(text=body.decode("utf-8", "replace"), complete=complete)

    # Jobs

    def save_image(self, instance_id: str, image: str, registry_auth_id: str = "") -> str:
        """Asks to push the container disk as `image`; the job's id, or '' if untold."""
        body: dict[str, object] = {"instanceId": instance_id, "image": image}
        if registry_auth_id:
            body["registryAuthId"] = registry_auth_id
        return job_id_in(self._write("save_image", "/job/save/image", body, instance_id))

    def list_jobs(
        self,
        *,
        job_id: str = "",
        state: str = "",
        type: str = "",  # noqa: A002 - Novita's word, used by keyword only
        since: datetime | None = None,
    ) -> tuple[RemoteJob, ...]:
        """Jobs of the account, filtered; `since` bounds how far back."""
        call = Call(
            kind=CallKind.GET,
            operation="list_jobs",
            path=f"{GPU}/jobs",
            params={
                "jobId": job_id,
                "state": state,
                "type": type,
                "startTime": int(since.timestamp()) if since else "",
            },
        )
        return self._pages(call, RemoteJob.from_api, ("jobs",)).items

    def break_job(self, job_id: str) -> None:
        self._write("break_job", "/job/break", {"jobId": job_id})

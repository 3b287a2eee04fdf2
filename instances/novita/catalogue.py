"""What the account may choose from: clusters, products, templates, logins, network storages, balance."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from instances.novita.coerce import Fields, Json, Malformed, SecretMapping, to_int, to_list

_BILLING_MODES = {"ondemand": "on_demand", "on_demand": "on_demand", "monthly": "monthly", "spot": "spot"}
_WIRE_BILLING_MODES = {"on_demand": "onDemand"}


def billing_mode_of(word: str) -> str:
    """Novita's word as on_demand, monthly or spot; '' stays '' (seen for on-demand), other words stay raw."""
    return _BILLING_MODES.get(word.strip().lower(), word)


def wire_billing_mode(mode: str) -> str:
    """The word Novita uses for our billing mode."""
    return _WIRE_BILLING_MODES.get(mode, mode)


def region_of(cluster_name: str) -> str:
    """The region a cluster's name begins with: 'US-CA-06' for 'US-CA-06 (California)'."""
    return cluster_name.strip().partition(" ")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One data centre; instances are placed in it by `id`, products name it by `name`."""

    id: str
    name: str
    region: str
    gpu_types: tuple[str, ...] = ()
    supports_network_storage: bool = False
    supports_vpc: bool = False

    @classmethod
    def from_api(cls, raw: Json) -> "Cluster":
        fields = Fields(raw)
        name = fields.text("name")
        return cls(
            id=fields.identity("id"),
            name=name,
            region=region_of(name),
            gpu_types=fields.texts("availableGpuType"),
            supports_network_storage=fields.flag("supportNetworkStorage"),
            supports_vpc=fields.flag("supportInstanceNetwork"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyPrice:
    """What one GPU costs for `months` months, paid ahead."""

    months: int
    price_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A GPU machine type. Sizes are GB; `regions` are cluster *names*, empty means every cluster.

    `available` is a hint: a create may be refused all the same. Raises Malformed without a readable price,
    since a product of unknown price would look like the cheapest.
    """

    id: str
    name: str
    cpu_per_gpu: int
    memory_gb_per_gpu: int
    disk_gb_per_gpu: int
    min_rootfs_gb: int
    max_rootfs_gb: int
    available: bool
    regions: tuple[str, ...]
    price_usd_per_gpu_hour: Decimal
    spot_price_usd_per_gpu_hour: Decimal | None
    monthly_prices: tuple[MonthlyPrice, ...] = ()
    billing_modes: tuple[str, ...] = ()
    inventory: str = ""

    @classmethod
    def from_api(cls, raw: Json) -> "Product":
        fields = Fields(raw)
        return cls(
            id=fields.identity("id"),
            name=fields.text("name"),
            cpu_per_gpu=fields.number("cpuPerGpu"),
            memory_gb_per_gpu=fields.number("memoryPerGpu"),
            disk_gb_per_gpu=fields.number("diskPerGpu"),
            min_rootfs_gb=fields.number("minRootFS"),
            max_rootfs_gb=fields.number("maxRootFS"),
            available=fields.flag("availableDeploy"),
            regions=fields.texts("regions"),
            price_usd_per_gpu_hour=_needed_price(fields),
            spot_price_usd_per_gpu_hour=fields.price("spotPrice") or None,
            monthly_prices=tuple(
                MonthlyPrice(months=part.number("month"), price_usd=price)
                for part in fields.parts("monthlyPrice")
                if (price := part.price("price")) is not None
            ),
            billing_modes=tuple(billing_mode_of(word) for word in fields.texts("billingMethods")),
            inventory=fields.text("inventoryState"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuProduct:
    """A machine type without GPU. Sizes are GB; the price is for the whole machine."""

    id: str
    name: str
    cpu_num: int
    memory_gb: int
    rootfs_gb: int
    local_volume_gb: int
    available: bool
    price_usd_per_hour: Decimal

    @classmethod
    def from_api(cls, raw: Json) -> "CpuProduct":
        fields = Fields(raw)
        return cls(
            id=fields.identity("id"),
            name=fields.text("name"),
            cpu_num=fields.number("cpuNum"),
            memory_gb=fields.number("memorySize"),
            rootfs_gb=fields.number("rootfsSize"),
            local_volume_gb=fields.number("localVolumeSize"),
            available=fields.flag("availableDeploy"),
            price_usd_per_hour=_needed_price(fields),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A ready-made tool of an official image, such as Jupyter."""

    name: str
    port: int
    type: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendedCard:
    """A GPU type a template is meant for, and how many."""

    gpu_spec_id: str
    gpu_num: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A saved set of create arguments. `ports` are (port, type); `image_auth_id` names a RegistryAuth."""

    id: str
    name: str
    readme: str = field(default="", repr=False)
    type: str = ""
    channel: str = ""
    image: str = ""
    image_auth_id: str = ""
    start_command: str = ""
    entrypoint: str = ""
    rootfs_size_gb: int = 0
    ports: tuple[tuple[int, str], ...] = ()
    envs: SecretMapping = field(default_factory=SecretMapping)
    tools: tuple[Tool, ...] = ()
    created_at: datetime | None = None
    recommended_cards: tuple[RecommendedCard, ...] = ()
    min_cuda_version: str = ""

    @classmethod
    def from_api(cls, raw: Json) -> "Template":
        fields = Fields(raw)
        return cls(
            id=fields.identity("Id", "id"),
            name=fields.text("name"),
            readme=fields.text("readme"),
            type=fields.text("type"),
            channel=fields.text("channel"),
            image=fields.text("image"),
            image_auth_id=fields.text("imageAuth"),
            start_command=fields.text("startCommand"),
            entrypoint=fields.text("entrypoint"),
            rootfs_size_gb=fields.number("rootfsSize"),
            ports=template_ports(fields),
            envs=SecretMapping(fields.pairs("envs")),
            tools=tools_of(fields),
            created_at=fields.time("createdAt", "createTime"),
            recommended_cards=tuple(
                RecommendedCard(gpu_spec_id=part.text("gpuSpecId"), gpu_num=part.number("cardNum"))
                for part in fields.parts("recommendCards")
            ),
            min_cuda_version=fields.text("minCudaVersion"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """A login for a container registry. Novita lists the password in clear; repr does not."""

    id: str
    name: str
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def from_api(cls, raw: Json) -> "RegistryAuth":
        fields = Fields(raw)
        return cls(
            id=fields.identity("id", "Id"),
            name=fields.text("name"),
            username=fields.text("username"),
            password=fields.text("password"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStorage:
    """A disk that outlives instances, mountable in its own cluster only. Names are not unique.

    `price` is Novita's raw number: nobody documents its unit.
    """

    id: str
    name: str
    size_gb: int
    cluster_id: str
    cluster_name: str
    price: str = ""

    @classmethod
    def from_api(cls, raw: Json) -> "NetworkStorage":
        fields = Fields(raw)
        return cls(
            id=fields.identity("storageId", "id", "Id"),
            name=fields.text("storageName", "name"),
            size_gb=fields.number("storageSize"),
            cluster_id=fields.text("clusterId"),
            cluster_name=fields.text("clusterName"),
            price=fields.text("price"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """The account's money. Raises Malformed without a readable available balance: none is not zero."""

    available_usd: Decimal
    cash_usd: Decimal | None = None
    credit_limit_usd: Decimal | None = None
    outstanding_usd: Decimal | None = None

    @classmethod
    def from_api(cls, raw: Json) -> "Balance":
        fields = Fields(raw)
        available = fields.balance("availableBalance")
        if available is None:
            raise Malformed("a balance without availableBalance")
        return cls(
            available_usd=available,
            cash_usd=fields.balance("cashBalance"),
            credit_limit_usd=fields.balance("creditLimit"),
            outstanding_usd=fields.balance("outstandingInvoices"),
        )


def template_ports(fields: Fields) -> tuple[tuple[int, str], ...]:
    """(port, type) of [{type, ports: [..]}], and of [{port, type}] as instances write it; without repeats."""
    found: dict[tuple[int, str], None] = {}
    for part in fields.parts("ports"):
        numbers = [to_int(item) for item in to_list(part.first("ports"))] or [part.number("port")]
        for number in numbers:
            if 1 <= number <= 65535:
                found[(number, part.text("type"))] = None
    return tuple(found)


def tools_of(fields: Fields) -> tuple[Tool, ...]:
    return tuple(
        Tool(
            name=part.text("name"),
            port=part.number("port"),
            type=part.text("type"),
            description=part.text("describe"),
        )
        for part in fields.parts("tools")
    )


def _needed_price(fields: Fields) -> Decimal:
    price = fields.price("price")
    if price is None:
        raise Malformed("a product without a readable price")
    return price

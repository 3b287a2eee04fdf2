"""What the simulated account holds. Times are wall clock epoch seconds; prices 1/100000 USD per GPU-hour."""

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

NEVER = 0.0
GONE_STATUSES = frozenset({"toRemove", "removing", "removed"})
OPEN_JOB_STATES = frozenset({"pulling", "running"})


class Moment(NamedTuple):
    """What the instance showed from `at` on."""

    at: float
    status: str
    spot_status: str = ""
    reclaim_at: float = NEVER


class Step(NamedTuple):
    """Something that will happen: kind is status, service, spot, ports, move, purge or forget."""

    at: float
    kind: str
    word: str = ""


class Interval(NamedTuple):
    """A metered stretch; `end` is None while it runs; `rate` is 1/100000 USD per day."""

    kind: str
    start: float
    end: float | None
    rate: int


class Charge(NamedTuple):
    """A single payment, such as a month bought; `amount` is 1/100000 USD."""

    at: float
    amount: int
    what: str


class Load(NamedTuple):
    """How busy the instance is from `at` on; `gpu` maps a GPU index, or `*`, to percent."""

    at: float
    gpu: dict[str, float]
    cpu_cores: float
    metrics: str = "ok"


@dataclass(slots=True, kw_only=True)
class Instance:
    """One machine of the account, every one ever; `forgotten_at` is set when the provider no longer knows it."""

    id: str
    name: str
    kind: str
    product_id: str
    product_name: str
    cluster_id: str
    gpu_num: int
    cpu_num: int
    memory_gb: int
    rootfs_gb: int
    price: int
    billing_mode: str
    image_url: str
    created_at: float
    image_auth_id: str = ""
    command: str = ""
    entrypoint: str = ""
    ports: list[tuple[int, str]] = field(default_factory=list)
    pending_ports: list[tuple[int, str]] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    envs: list[dict[str, str]] = field(default_factory=list)
    storages: list[dict[str, str]] = field(default_factory=list)
    network_id: str = ""
    month: int = 0
    auto_renew: bool = False
    auto_renew_month: int = 0
    end_at: float = NEVER
    auto_migrate: bool = False
    auto_migrate_system_disk: bool = False
    password: str = ""
    history: list[Moment] = field(default_factory=list)
    plan: list[Step] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    error_state: str = ""
    error_message: str = ""
    holds_stock: bool = False
    keeps_stock_when_reclaimed: bool = False
    service_up: bool = False
    service_down: bool = False
    pull_never_ends: bool = False
    started_at: float = NEVER
    stopped_at: float = NEVER
    release_data_at: float = NEVER
    purged_at: float = NEVER
    forgotten_at: float = NEVER
    commands: int = 0

    @property
    def now(self) -> Moment:
        return self.history[-1]

    @property
    def status(self) -> str:
        return self.history[-1].status

    def moment_at(self, at: float) -> Moment | None:
        """What it showed at that time; None before it was made."""
        for moment in reversed(self.history):
            if moment.at <= at:
                return moment
        return None

    @property
    def all_ports(self) -> list[tuple[int, str]]:
        """Asked for ports and those of tools, which the provider exposes alike."""
        own = {port for port, _ in self.ports}
        return self.ports + [(t["port"], t["type"]) for t in self.tools if t["port"] not in own]

    def to_row(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _INSTANCE_FIELDS}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        row = {name: value for name, value in row.items() if name in _INSTANCE_FIELDS}
        for name, shape in _SHAPES.items():
            row[name] = [shape(*value) for value in row[name]]
        for name in ("ports", "pending_ports"):
            row[name] = [(port, kind) for port, kind in row[name]]
        return cls(**row)


_INSTANCE_FIELDS = frozenset(f.name for f in fields(Instance))
_SHAPES: dict[str, Any] = {
    "history": Moment,
    "plan": Step,
    "intervals": Interval,
    "charges": Charge,
    "loads": Load,
}


@dataclass(slots=True, kw_only=True)
class Job:
    """A long work of the provider; its state follows from `steps` alone, so nothing has to drive it."""

    id: str
    type: str
    instance_id: str
    created_at: float
    steps: list[tuple[float, str]]
    image: str = ""
    error: str = ""
    error_message: str = ""

    def state_at(self, at: float) -> str:
        return next((state for since, state in reversed(self.steps) if since <= at), self.steps[0][1])

    def is_open(self, at: float) -> bool:
        return self.state_at(at) in OPEN_JOB_STATES

    def to_row(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _JOB_FIELDS}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        row["steps"] = [(at, state) for at, state in row["steps"]]
        return cls(**row)


_JOB_FIELDS = frozenset(f.name for f in fields(Job))

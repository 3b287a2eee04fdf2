"""How long things take, and the plans that follow: seconds at speed 1, jittered by a seeded generator."""

from dataclasses import asdict, dataclass, fields, replace
from random import Random
from typing import Self

from instances.novita.simulator.records import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds in the provider's world; the speed divides them."""

    pending: float = 1
    to_create: float = 1
    creating: float = 5
    pulling: float = 20
    to_start: float = 1
    starting: float = 6
    to_stop: float = 1
    stopping: float = 4
    to_restart: float = 1
    restarting: float = 6
    to_reset: float = 1
    resetting: float = 5
    to_remove: float = 1
    removing: float = 4
    removed_readable: float = 60
    migrating: float = 25
    reclaiming: float = 5
    freezing: float = 60
    service_delay: float = 8
    editing: float = 5
    saving_pull: float = 5
    saving: float = 30
    metrics_grain: float = 15
    metrics_lag: float = 60
    keep_data_days: float = 7
    spot_protection: float = 3600
    spot_notice: float = 3600
    jitter: float = 0.2

    def changed(self, values: dict[str, float]) -> Self:
        """Raises KeyError for an unknown name and ValueError for a negative length."""
        known = {f.name for f in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise KeyError(name)
            if value < 0:
                raise ValueError(name)
        return replace(self, **{name: float(value) for name, value in values.items()})

    def as_row(self) -> dict[str, float]:
        return asdict(self)


# (status entered, the timing that says how long the one before it lasts)
_CHAINS: dict[str, tuple[tuple[str, str], ...]] = {
    "create": (("toCreate", "pending"), ("creating", "to_create"), ("pulling", "creating"), ("running", "pulling")),
    "start": (("starting", "to_start"), ("running", "starting")),
    "stop": (("stopping", "to_stop"), ("exited", "stopping")),
    "restart": (("restarting", "to_restart"), ("running", "restarting")),
    "upgrade": (("resetting", "to_reset"), ("pulling", "resetting"), ("running", "pulling")),
    "migrate": (("running", "migrating"),),
    "delete": (("removing", "to_remove"), ("removed", "removing")),
    "freeze": (("exited", "freezing"),),
}
FIRST_STATUS = {
    "create": "pending",
    "start": "toStart",
    "stop": "toStop",
    "restart": "toRestart",
    "upgrade": "toReset",
    "migrate": "migrating",
    "delete": "toRemove",
    "freeze": "freezing",
}


def plan(verb: str, *, timings: Timings, speed: float, random: Random, at: float) -> list[Step]:
    """The statuses that follow `FIRST_STATUS[verb]`, entered at `at`."""
    steps = []
    lengths = timings.as_row()
    for status, timing in _CHAINS[verb]:
        at += lengths[timing] * (1 + timings.jitter * (2 * random.random() - 1)) / speed
        steps.append(Step(at, "status", status))
    return steps

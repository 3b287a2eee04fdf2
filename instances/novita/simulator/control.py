"""The control surface under `/_simulator/`: what demo, tests and benchmarks may turn, and the truth to compare with.

`deadline_seconds` and the timings are the provider's time, divided by the speed; what is shown is wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from instances.novita.simulator import ledger
from instances.novita.simulator.calls.account import storage_cost
from instances.novita.simulator.commands import find
from instances.novita.simulator.errors import RefusedError, invalid, wrong_state
from instances.novita.simulator.lifecycle import crash, notify, reclaim, withdraw
from instances.novita.simulator.records import NEVER, Instance, Load
from instances.novita.simulator.validation import json_object

if TYPE_CHECKING:
    from instances.novita.simulator.application import Application
    from instances.novita.simulator.world import World

SHOWN = (
    "id", "name", "kind", "product_id", "product_name", "cluster_id", "gpu_num", "rootfs_gb", "price",
    "billing_mode", "image_url", "created_at", "envs", "ports", "holds_stock", "service_up", "service_down",
    "started_at", "stopped_at", "release_data_at", "purged_at", "forgotten_at", "error_state",
)  # fmt: skip
METRICS_MODES = ("ok", "missing", "stale", "hang")


class Turn(NamedTuple):
    """One request to the control surface."""

    app: Application
    world: World
    query: Mapping[str, str]
    body: Mapping[str, Any]
    now: float


def control(app: Application, method: str, path: str, query: Mapping[str, str], body: Any, now: float) -> dict[str, Any]:
    """Raises RefusedError for what does not exist or makes no sense."""
    name = path.removeprefix("/_simulator/").rstrip("/")
    handler = _HANDLERS.get((method, name))
    if handler is None:
        raise RefusedError("", "no such control", status=404)
    turn = Turn(app, app.world, query, json_object(body) if method == "PUT" else {}, now)
    try:
        return handler(turn)
    except (TypeError, ValueError) as error:
        raise invalid(name, str(error)) from error


def _get_speed(turn: Turn) -> dict[str, Any]:
    return {"speed": turn.world.speed, "timings": turn.world.timings.as_row()}


def _put_speed(turn: Turn) -> dict[str, Any]:
    speed = turn.body.get("speed", turn.world.speed)
    if not isinstance(speed, int | float) or isinstance(speed, bool) or not 0 < speed <= 100_000:
        raise invalid("speed", "a number above 0 is required")
    try:
        turn.world.timings = turn.world.timings.changed(dict(turn.body.get("timings") or {}))
    except (KeyError, ValueError, TypeError) as error:
        raise invalid("timings", str(error)) from error
    turn.world.change_speed(float(speed), turn.now)
    return _get_speed(turn)


def _get_faults(turn: Turn) -> dict[str, Any]:
    return {"faults": turn.app.faults.rows()}


def _put_faults(turn: Turn) -> dict[str, Any]:
    turn.app.faults.replace(turn.body.get("faults"))
    return _get_faults(turn)


def _get_stock(turn: Turn) -> dict[str, Any]:
    return {"stock": turn.world.stock}


def _put_stock(turn: Turn) -> dict[str, Any]:
    """Merges; a number is the GPUs free from now on."""
    stock = json_object(turn.body.get("stock"))
    for cluster, shelf in stock.items():
        for product, free in json_object(shelf).items():
            if not isinstance(free, int) or isinstance(free, bool) or free < 0:
                raise invalid("stock", f"{cluster} {product}: a whole number is required")
            turn.world.stock.setdefault(cluster, {})[product] = free
    turn.world.touch_account()
    return _get_stock(turn)


def _get_spot(turn: Turn) -> dict[str, Any]:
    spots = [i for i in turn.world.visible.values() if i.billing_mode == "spot"]
    return {
        "rate_per_hour": turn.world.spot_rate_per_hour,
        "instances": [
            {"id": i.id, "name": i.name, "status": i.status, "spot_status": i.now.spot_status,
             "reclaim_at": i.now.reclaim_at or None}
            for i in spots
        ],
    }  # fmt: skip


def _put_spot(turn: Turn) -> dict[str, Any]:
    """Either `rate_per_hour` of reclaims for spot instances that start from now on, or an act on one of them."""
    if "rate_per_hour" in turn.body:
        turn.world.spot_rate_per_hour = float(turn.body["rate_per_hour"])
        turn.world.touch_account()
        return _get_spot(turn)
    instance = find(turn.world, str(turn.body.get("instance")))
    act = _SPOT_ACTS.get(str(turn.body.get("action")))
    if act is None:
        raise invalid("action", "one of " + ", ".join(_SPOT_ACTS) + " is required")
    if instance.billing_mode != "spot" or instance.status in ("exited", "removed"):
        raise wrong_state()
    instance.keeps_stock_when_reclaimed = not turn.body.get("give_back_stock", False)
    act(turn, instance)
    return _get_spot(turn)


def _notify(turn: Turn, instance: Instance) -> None:
    seconds = turn.body.get("deadline_seconds")
    seconds = turn.world.timings.spot_notice if seconds is None else float(seconds)
    notify(turn.world, instance, turn.now, turn.now + seconds / turn.world.speed)


def _reclaim(turn: Turn, instance: Instance) -> None:
    reclaim(turn.world, instance, turn.now, instance.now.reclaim_at or turn.now)


def _withdraw(turn: Turn, instance: Instance) -> None:
    withdraw(turn.world, instance, turn.now)


def _get_load(turn: Turn) -> dict[str, Any]:
    rows = {
        i.id: {**_load_row(i.loads[-1]), "service": "down" if i.service_down else "up"}
        for i in turn.world.visible.values()
        if i.loads
    }
    return {"default": _load_row(turn.world.default_load), "instances": rows}


def _load_row(load: Load) -> dict[str, Any]:
    gpu: Any = load.gpu["*"] if set(load.gpu) == {"*"} else load.gpu
    return {"gpu_percent": gpu, "cpu_cores": load.cpu_cores, "metrics": load.metrics}


def _put_load(turn: Turn) -> dict[str, Any]:
    """`*` means every instance there is and every one to come. `service` up or down, `crash` ends the container."""
    world, key = turn.world, str(turn.body.get("instance") or "*")
    if key == "*":
        world.default_load = _load(turn, world.default_load)
        world.touch_account()
    for instance in list(world.visible.values()) if key == "*" else [find(world, key)]:
        instance.loads.append(_load(turn, instance.loads[-1] if instance.loads else world.default_load))
        if "service" in turn.body:
            instance.service_down = turn.body["service"] == "down"
            world.changed_services.add(instance.id)
        if turn.body.get("crash") and instance.status == "running":
            crash(world, instance, turn.now, str(turn.body["crash"]))
        world.touch(instance)
    return {"instance": key, **_load_row(_load(turn, world.default_load))}


def _load(turn: Turn, before: Load) -> Load:
    """What is not said stays as it was."""
    asked = turn.body.get("gpu_percent")
    gpu = before.gpu
    if asked is not None:
        gpu = {str(k): float(v) for k, v in asked.items()} if isinstance(asked, dict) else {"*": float(asked)}
    metrics = turn.body.get("metrics", before.metrics)
    if metrics not in METRICS_MODES:
        raise invalid("metrics", "one of " + ", ".join(METRICS_MODES) + " is required")
    return Load(turn.now, gpu, float(turn.body.get("cpu_cores", before.cpu_cores)), metrics)


def _state(turn: Turn) -> dict[str, Any]:
    """The whole truth: every instance ever, with its times and its price."""
    world = turn.world
    return {
        "now": turn.now,
        "speed": world.speed,
        "seed": world.seed,
        "balance_usd": world.ledger.balance_at(turn.now) / ledger.UNITS_PER_USD,
        "is_frozen": world.ledger.is_frozen,
        "instances": [_shown(i) for i in world.instances.values()],
        "jobs": [{**job.to_row(), "state": job.state_at(turn.now)} for job in world.jobs.values()],
    }


def _shown(instance: Instance) -> dict[str, Any]:
    moment = instance.now
    return {
        **{name: getattr(instance, name) for name in SHOWN},
        "status": moment.status,
        "spot_status": moment.spot_status,
        "reclaim_at": moment.reclaim_at or None,
        "is_gone": bool(instance.forgotten_at) or moment.status == "removed",
        "price_usd_per_hour": instance.price * max(1, instance.gpu_num) / ledger.UNITS_PER_USD,
        "timeline": [m._asdict() for m in instance.history],
        "plan": [s._asdict() for s in instance.plan],
    }


def _bill(turn: Turn) -> dict[str, Any]:
    rows = [_bill_row(i, turn.now) for i in turn.world.instances.values()]
    storages = sum(storage_cost(row, turn.now) for row in turn.world.objects["storage"].values())
    total = sum(row["total_usd"] for row in rows) + storages / ledger.UNITS_PER_USD
    return {"instances": rows, "storages_usd": storages / ledger.UNITS_PER_USD, "total_usd": total}


def _bill_row(instance: Instance, now: float) -> dict[str, Any]:
    """Amounts in USD; intervals that still run have no end."""
    compute, disk = (
        ledger.cost([i for i in instance.intervals if i.kind == kind], now) / ledger.UNITS_PER_USD
        for kind in ("compute", "disk")
    )
    charged = sum(charge.amount for charge in instance.charges) / ledger.UNITS_PER_USD
    return {
        "id": instance.id,
        "name": instance.name,
        "intervals": [
            {"kind": i.kind, "start": i.start, "end": i.end, "usd_per_hour": i.rate / 24 / ledger.UNITS_PER_USD}
            for i in instance.intervals
        ],
        "compute_usd": compute,
        "disk_usd": disk,
        "charges_usd": charged,
        "total_usd": compute + disk + charged,
    }


def _calls(turn: Turn) -> dict[str, Any]:
    since = turn.query.get("since", "0")
    return turn.app.calls.since(int(since) if since.isdigit() else int(NEVER))


def _put_calls(turn: Turn) -> dict[str, Any]:
    if turn.body.get("reset"):
        turn.app.calls.reset()
    return turn.app.calls.since(0)


_SPOT_ACTS: dict[str, Callable[[Turn, Instance], None]] = {
    "notify": _notify,
    "reclaim": _reclaim,
    "withdraw": _withdraw,
}
_HANDLERS: dict[tuple[str, str], Callable[[Turn], dict[str, Any]]] = {
    ("GET", "speed"): _get_speed,
    ("PUT", "speed"): _put_speed,
    ("GET", "faults"): _get_faults,
    ("PUT", "faults"): _put_faults,
    ("GET", "stock"): _get_stock,
    ("PUT", "stock"): _put_stock,
    ("GET", "spot"): _get_spot,
    ("PUT", "spot"): _put_spot,
    ("GET", "load"): _get_load,
    ("PUT", "load"): _put_load,
    ("GET", "state"): _state,
    ("GET", "bill"): _bill,
    ("GET", "calls"): _calls,
    ("PUT", "calls"): _put_calls,
}

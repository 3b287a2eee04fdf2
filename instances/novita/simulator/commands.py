"""The verbs of an instance: what the provider checks before it says yes, and what it then begins."""

from typing import Any

from instances.novita.simulator.errors import (
    RefusedError,
    instance_not_found,
    no_balance,
    no_capacity,
    wrong_state,
)
from instances.novita.simulator.ledger import SECONDS_PER_DAY, metered, open_rate
from instances.novita.simulator.lifecycle import JOB_ALPHABET, begin, begin_migration, meter
from instances.novita.simulator.records import GONE_STATUSES, Charge, Instance, Job, Step
from instances.novita.simulator.world import World

ALLOWED = {
    "start": frozenset({"exited"}),
    "stop": frozenset({"running"}),
    "restart": frozenset({"running"}),
    "edit": frozenset({"running", "exited"}),
    "migrate": frozenset({"running", "exited"}),
    "save_image": frozenset({"running", "exited"}),
}
SECONDS_PER_MONTH = 30 * SECONDS_PER_DAY
BEING_RECLAIMED = frozenset({"notified", "reclaiming"})


def find(world: World, instance_id: str) -> Instance:
    instance = world.visible.get(instance_id)
    if instance is None:
        raise instance_not_found()
    return instance


def create(world: World, instance: Instance, now: float, *, pull_never_ends: bool = False) -> None:
    """Takes the stock and begins; the instance is complete but for its history."""
    require_balance(world, now)
    if not world.take_stock(instance):
        raise no_capacity()
    instance.pull_never_ends = pull_never_ends
    instance.loads = [world.default_load._replace(at=now)]
    world.add(instance)
    begin(world, instance, "create", now)


def start(world: World, instance: Instance, now: float) -> None:
    _require(world, instance, "start", now)
    require_balance(world, now, "EXPIRED_OR_BALANCE_NOT_ENOUGH")
    if not world.take_stock(instance):
        raise no_capacity()
    begin(world, instance, "start", now)


def stop(world: World, instance: Instance, now: float) -> None:
    _require(world, instance, "stop", now)
    begin(world, instance, "stop", now)


def restart(world: World, instance: Instance, now: float) -> None:
    _require(world, instance, "restart", now)
    begin(world, instance, "restart", now, keep=("ports", "spot"))


def delete(world: World, instance: Instance, now: float) -> None:
    """Any state will do; a subscription is never released by hand."""
    if instance.status == "removed":
        raise instance_not_found()
    if instance.status in GONE_STATUSES:
        raise wrong_state()
    if instance.billing_mode == "monthly":
        raise RefusedError("PREPAID_INSTANCE_NOT_SUPPORT_RELEASE", "prepaid instance can not be released")
    for job in open_jobs(world, instance, now):
        break_job(world, job, now, state="fail")
    begin(world, instance, "delete", now, keep=())


def migrate(world: World, instance: Instance, now: float, *, ending: str = "") -> Job:
    """The id stays, disks do not; the GPUs come from the same cluster. `ending` names how it fails, if it does."""
    _require(world, instance, "migrate", now)
    if instance.now.spot_status in BEING_RECLAIMED:
        raise wrong_state()
    require_balance(world, now, "EXPIRED_OR_BALANCE_NOT_ENOUGH")
    held, instance.holds_stock = instance.holds_stock, False
    if not world.take_stock(instance):
        instance.holds_stock = held
        raise no_capacity("MIGRATE_INSUFFICIENT_RESOURCE")
    if held:
        world.stock[instance.cluster_id][instance.product_id] += instance.gpu_num
    return begin_migration(world, instance, now, "instanceMigrate", ending=ending)


def edit(world: World, instance: Instance, now: float, *, ports: list[tuple[int, str]] | None, expand_gb: int) -> None:
    """Ports take a moment, disk only grows and is there at once."""
    _require(world, instance, "edit", now)
    if ports is not None:
        instance.pending_ports = ports
        others = [s for s in instance.plan if s.kind != "ports"]
        at = now + world.timings.editing / world.speed
        world.schedule(instance, [*others, Step(at, "ports")])
    if expand_gb:
        instance.rootfs_gb += expand_gb
        meter(world, instance, now)
    world.touch(instance)


def upgrade(world: World, instance: Instance, now: float, changes: dict[str, Any]) -> None:
    if instance.status in GONE_STATUSES | {"migrating", "pending"} or open_jobs(world, instance, now):
        raise wrong_state()
    if not world.take_stock(instance):
        raise no_capacity()
    for name, value in changes.items():
        setattr(instance, name, value)
    begin(world, instance, "upgrade", now)


def save_image(world: World, instance: Instance, now: float, image: str) -> Job:
    _require(world, instance, "save_image", now)
    pushed_at = now + world.timings.saving_pull / world.speed
    done_at = pushed_at + world.timings.saving / world.speed
    job = Job(
        id=world.new_id("job", alphabet=JOB_ALPHABET),
        type="saveImage",
        instance_id=instance.id,
        created_at=now,
        steps=[(now, "pulling"), (pushed_at, "running"), (done_at, "success")],
        image=image,
    )
    world.add_job(job)
    return job


def break_job(world: World, job: Job, now: float, *, state: str = "break") -> None:
    job.steps = [*[step for step in job.steps if step[0] <= now], (now, state)]
    world.touch_job(job)


def renew(world: World, instance: Instance, now: float, months: int, price: int) -> None:
    """Pays for `months` in advance; `price` is one GPU's month."""
    amount = price * max(1, instance.gpu_num) * months
    if world.ledger.balance_at(now) < amount:
        raise no_balance()
    world.ledger.pay(amount, now)
    world.touch_account()
    instance.charges.append(Charge(now, amount, f"{months} month(s)"))
    instance.end_at = max(instance.end_at, now) + months * SECONDS_PER_MONTH
    if instance.billing_mode != "monthly":
        before = open_rate(instance.intervals)
        instance.billing_mode = "monthly"
        instance.intervals = metered(instance.intervals, "compute", 0, now)
        world.ledger.change_rate(open_rate(instance.intervals) - before, now)
    world.touch(instance)


def open_jobs(world: World, instance: Instance, now: float) -> list[Job]:
    return [job for job in world.jobs_of.get(instance.id, ()) if job.is_open(now)]


def require_balance(world: World, now: float, reason: str = "BALANCE_NOT_ENOUGH") -> None:
    if world.ledger.is_frozen or world.ledger.balance_at(now) <= 0:
        raise no_balance(reason)


def _require(world: World, instance: Instance, verb: str, now: float) -> None:
    if instance.status not in ALLOWED[verb] or open_jobs(world, instance, now):
        raise wrong_state()

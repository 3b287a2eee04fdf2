"""How the account moves through time, lazily: everything due by now happens, each thing at its own time.

Nothing here needs a thread or a clock; whoever reads or writes the account calls `advance` first.
"""

from collections.abc import Callable
from dataclasses import replace

from instances.novita.simulator.ledger import (
    DISK_RATE,
    FREE_DISK_GB,
    SECONDS_PER_DAY,
    metered,
    open_rate,
)
from instances.novita.simulator.records import GONE_STATUSES, NEVER, Instance, Job, Moment, Step
from instances.novita.simulator.timings import FIRST_STATUS, plan
from instances.novita.simulator.world import World

# The meter starts with the pull and runs until the stop is done; any other status leaves it as it is.
METERED = frozenset(
    {
        "pulling",
        "starting",
        "running",
        "toStop",
        "stopping",
        "toRestart",
        "restarting",
        "toReset",
        "resetting",
    }
)
UNMETERED = frozenset({"pending", "toCreate", "creating", "exited", "freezing", "removed"})
WITHOUT_DISK = frozenset({"pending", "toCreate", "creating", "removed"})
MOVE_ENDINGS = ("migrate_keeps_old", "migrate_makes_new", "migrate_leaves_both", "migrate_loses_all", "migrate_hangs")
JOB_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def advance(world: World, now: float) -> None:
    """Brings the account to `now`; asked again for the same time it changes nothing."""
    while True:
        broke_at, due_at = world.ledger.runs_out_at(), world.next_due()
        if min(broke_at, due_at) > now:
            return
        if broke_at <= due_at:
            _freeze_all(world, broke_at)
            continue
        due = world.pop_due()
        if due:
            instance, step = due
            _STEPS[step.kind](world, instance, step)
            world.expect(instance)
            world.touch(instance)


def begin(world: World, instance: Instance, verb: str, at: float, *, keep: tuple[str, ...] = ("ports",)) -> list[Step]:
    """Enters the first status of `verb` and plans the rest; steps of other kinds than `keep` are dropped."""
    instance.commands += 1
    steps = plan(
        verb,
        timings=world.timings,
        speed=world.speed,
        random=world.random(f"{instance.id}/{instance.commands}"),
        at=at,
    )
    if instance.pull_never_ends and "pulling" in (s.word for s in steps):
        steps = steps[:-1]
    kept = [s for s in instance.plan if s.kind in keep]
    world.schedule(instance, kept + steps)
    enter(world, instance, FIRST_STATUS[verb], at)
    return steps


def enter(
    world: World,
    instance: Instance,
    status: str,
    at: float,
    *,
    spot_status: str | None = None,
    reclaim_at: float | None = None,
) -> None:
    """Shows `status` from `at` on, with all that follows: meter, stock, dates, endpoints."""
    before = instance.now if instance.history else Moment(at, "")
    instance.history.append(
        Moment(
            at,
            status,
            before.spot_status if spot_status is None else spot_status,
            before.reclaim_at if reclaim_at is None else reclaim_at,
        )
    )
    instance.service_up = False
    world.changed_services.add(instance.id)
    if status in _ENTERED:
        _ENTERED[status](world, instance, at)
    meter(world, instance, at)
    world.touch(instance)


def meter(world: World, instance: Instance, at: float) -> None:
    """Puts the running rates right for the status and the disks; never touches finished intervals."""
    before = open_rate(instance.intervals)
    status, intervals = instance.status, instance.intervals
    if status in METERED and instance.billing_mode != "monthly":
        intervals = metered(intervals, "compute", instance.price * max(1, instance.gpu_num) * 24, at)
    elif status in UNMETERED:
        intervals = metered(intervals, "compute", 0, at)
    if status in WITHOUT_DISK or instance.purged_at:
        intervals = metered(intervals, "disk", 0, at)
    elif status == "exited":
        intervals = metered(intervals, "disk", instance.rootfs_gb * DISK_RATE, at)
    elif status in METERED:
        intervals = metered(intervals, "disk", max(0, instance.rootfs_gb - FREE_DISK_GB) * DISK_RATE, at)
    instance.intervals = intervals
    if open_rate(intervals) != before:
        world.ledger.change_rate(open_rate(intervals) - before, at)
        world.touch_account()


def notify(world: World, instance: Instance, at: float, deadline: float) -> None:
    """Announces the reclaim; at the deadline it begins, a little later the instance is gone from its GPU."""
    others = [s for s in instance.plan if s.kind != "spot"]
    ends_at = deadline + world.timings.reclaiming / world.speed
    world.schedule(instance, [*others, Step(deadline, "spot", "reclaiming"), Step(ends_at, "spot", "terminated")])
    instance.history.append(instance.now._replace(at=at, spot_status="notified", reclaim_at=deadline))
    world.touch(instance)


def withdraw(world: World, instance: Instance, at: float) -> None:
    world.schedule(instance, [s for s in instance.plan if s.kind != "spot"])
    instance.history.append(instance.now._replace(at=at, spot_status="running", reclaim_at=NEVER))
    world.touch(instance)


def reclaim(world: World, instance: Instance, at: float, deadline: float) -> None:
    """Takes the GPUs away; they are someone else's now unless the reclaim said they return to the stock."""
    if instance.keeps_stock_when_reclaimed:
        instance.holds_stock = False
    world.schedule(instance, [])
    enter(world, instance, "exited", at, spot_status="terminated", reclaim_at=deadline)
    if instance.auto_migrate and world.take_stock(instance):
        begin_migration(world, instance, at, "autoInstanceMigrate")


def begin_migration(world: World, instance: Instance, at: float, job_type: str, *, ending: str = "") -> Job:
    """`ending` names how it fails, one of `MOVE_ENDINGS`; "" is the move as it should be."""
    steps = begin(world, instance, "migrate", at, keep=())
    ends_at = steps[-1].at
    if ending:
        world.schedule(instance, [Step(ends_at, "move", ending)])
    job = Job(
        id=world.new_id("job", alphabet=JOB_ALPHABET),
        type=job_type,
        instance_id=instance.id,
        created_at=at,
        steps=[(at, "running"), (ends_at, "fail" if ending else "success")],
        error="MIGRATE_FAILED" if ending else "",
        error_message="the migration failed" if ending else "",
    )
    world.add_job(job)
    return job


def crash(world: World, instance: Instance, at: float, state: str) -> None:
    """The container ends by itself."""
    world.schedule(instance, [])
    instance.error_state, instance.error_message = state, f"container exited: {state}"
    enter(world, instance, "exited", at)


def _freeze_all(world: World, at: float) -> None:
    world.ledger.is_frozen = True
    world.touch_account()
    for instance in world.visible.values():
        if instance.status not in UNMETERED | GONE_STATUSES:
            begin(world, instance, "freeze", at)


def _entered_running(world: World, instance: Instance, at: float) -> None:
    instance.started_at = at
    instance.error_state = instance.error_message = ""
    instance.release_data_at = instance.purged_at = NEVER
    delay = world.timings.service_delay / world.speed
    steps = [*instance.plan, Step(at + delay, "service")]
    if instance.billing_mode == "spot" and instance.now.spot_status != "notified":
        instance.history[-1] = instance.now._replace(spot_status="running", reclaim_at=NEVER)
        if world.spot_rate_per_hour > 0:
            chance = world.random(f"{instance.id}/{instance.commands}/spot")
            wait = world.timings.spot_protection + 3600 * chance.expovariate(world.spot_rate_per_hour)
            steps.append(Step(at + wait / world.speed, "spot", "notified"))
    world.schedule(instance, steps)


def _entered_exited(world: World, instance: Instance, at: float) -> None:
    instance.stopped_at = at
    instance.release_data_at = at + world.timings.keep_data_days * SECONDS_PER_DAY / world.speed
    if instance.now.spot_status != "terminated":
        instance.history[-1] = instance.now._replace(spot_status="", reclaim_at=NEVER)
    world.give_back_stock(instance)
    world.schedule(instance, [*instance.plan, Step(instance.release_data_at, "purge")])


def _entered_removed(world: World, instance: Instance, at: float) -> None:
    world.give_back_stock(instance)
    readable = world.timings.removed_readable / world.speed
    world.schedule(instance, [Step(at + readable, "forget")])


def _move_step(world: World, instance: Instance, step: Step) -> None:
    """A move that failed half-way: the old one, a new one under another id, both or none are left; or it never ends."""
    if step.word == "migrate_hangs":
        return
    if step.word in ("migrate_makes_new", "migrate_leaves_both"):
        _make_twin(world, instance, step.at)
    stays = step.word in ("migrate_keeps_old", "migrate_leaves_both")
    enter(world, instance, "exited" if stays else "removed", step.at)


def _make_twin(world: World, instance: Instance, at: float) -> None:
    twin = replace(
        instance,
        id=world.new_id("instance"),
        created_at=at,
        history=[],
        plan=[],
        intervals=[],
        charges=[],
        ports=list(instance.ports),
        loads=list(instance.loads),
        commands=0,
    )
    instance.holds_stock = False  # the GPUs are the new one's
    world.add(twin)
    enter(world, twin, "running", at, spot_status="running", reclaim_at=NEVER)


def _status_step(world: World, instance: Instance, step: Step) -> None:
    enter(world, instance, step.word, step.at)


def _service_step(world: World, instance: Instance, _: Step) -> None:
    instance.service_up = True
    world.changed_services.add(instance.id)


def _ports_step(world: World, instance: Instance, _: Step) -> None:
    instance.ports, instance.pending_ports = instance.pending_ports, []
    world.changed_services.add(instance.id)


def _spot_step(world: World, instance: Instance, step: Step) -> None:
    if step.word == "notified":
        notify(world, instance, step.at, step.at + world.timings.spot_notice / world.speed)
    elif step.word == "reclaiming":
        instance.history.append(instance.now._replace(at=step.at, spot_status="reclaiming"))
    else:
        reclaim(world, instance, step.at, instance.now.reclaim_at)


def _purge_step(world: World, instance: Instance, step: Step) -> None:
    instance.purged_at = step.at
    meter(world, instance, step.at)


def _forget_step(world: World, instance: Instance, step: Step) -> None:
    world.forget(instance, step.at)


_ENTERED: dict[str, Callable[[World, Instance, float], None]] = {
    "running": _entered_running,
    "exited": _entered_exited,
    "removed": _entered_removed,
}
_STEPS: dict[str, Callable[[World, Instance, Step], None]] = {
    "status": _status_step,
    "move": _move_step,
    "service": _service_step,
    "ports": _ports_step,
    "spot": _spot_step,
    "purge": _purge_step,
    "forget": _forget_step,
}

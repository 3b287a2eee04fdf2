"""Fleets of ours at Novita, and what tests take out of its lists or out of existence."""

from instances import provider
from instances.models import Instance
from instances.novita.simulator.lifecycle import enter
from instances.novita.simulator.records import NEVER
from instances.novita.simulator.world import World
from sync.listing import Result, run_list
from tests.driving import Drive

STEP = 5.0


def listed(drive: Drive) -> Result:
    """One list, begun a moment after whatever was before it."""
    drive.clock.shift(1)
    return run_list(provider.novita(), trigger="poll")


def fleet(drive: Drive, count: int) -> list[Instance]:
    instances = [drive.create(f"worker-{number}", ports=()) for number in range(count)]
    drive.until(lambda: Instance.objects.filter(phase="ready").count() == count, step=STEP)
    drive.let_pass(70, step=35)  # until no call of ours may be the cause of anything
    return instances


def id_of(instance: Instance) -> str:
    instance.refresh_from_db()
    assert instance.machine is not None
    return instance.machine.novita_id or ""


def world_of(drive: Drive) -> World:
    assert drive.novita.server is not None
    return drive.novita.server.world


def hide(drive: Drive, *novita_ids: str) -> None:
    """Novita's lists lack these and are whole otherwise."""
    world = world_of(drive)
    with world.lock:
        for novita_id in novita_ids:
            world.visible.pop(novita_id)


def show(drive: Drive, *novita_ids: str) -> None:
    world = world_of(drive)
    with world.lock:
        for novita_id in novita_ids:
            world.visible[novita_id] = world.instances[novita_id]


def bring_back(drive: Drive, novita_id: str) -> None:
    """One that Novita called removed, and knew no more, runs again."""
    world = world_of(drive)
    with world.lock:
        instance = world.instances[novita_id]
        instance.forgotten_at, instance.plan = NEVER, []
        world.visible[novita_id] = instance
        enter(world, instance, "running", drive.now.timestamp())


def lose(drive: Drive, instances: list[Instance]) -> list[str]:
    """Novita has them no more, neither in lists nor by id."""
    ids = [id_of(instance) for instance in instances]
    world = world_of(drive)
    with world.lock:
        for novita_id in ids:
            world.instances.pop(novita_id)
    hide(drive, *ids)
    return ids

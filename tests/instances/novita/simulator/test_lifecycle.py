"""The account moves by time alone: no thread, no waiting, every moment given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.novita.simulator import commands
from instances.novita.simulator.catalogue import PRODUCTS
from instances.novita.simulator.errors import RefusedError
from instances.novita.simulator.ledger import UNITS_PER_USD, cost
from instances.novita.simulator.lifecycle import advance, crash, notify
from instances.novita.simulator.records import Instance
from instances.novita.simulator.store import Store
from instances.novita.simulator.world import World

T0 = 1_800_000_000.0
PRODUCT, CLUSTER = "4090.16c62g", "1"


def account(*, balance_usd: float = 100.0, speed: float = 1.0, seed: int = 1) -> World:
    return World(Store(None), seed=seed, balance_usd=balance_usd, now=T0, speed=speed)


def created(world: World, now: float, *, billing_mode: str = "onDemand", gpu_num: int = 1) -> Instance:
    product = PRODUCTS[PRODUCT]
    instance = Instance(
        id=world.new_id("instance"),
        name="worker",
        kind="gpu",
        product_id=product.id,
        product_name=product.name,
        cluster_id=CLUSTER,
        gpu_num=gpu_num,
        cpu_num=16,
        memory_gb=62,
        rootfs_gb=60,
        price=product.price,
        billing_mode=billing_mode,
        image_url="pytorch",
        created_at=now,
    )
    commands.create(world, instance, now)
    return instance


def statuses(instance: Instance) -> list[str]:
    return [moment.status for moment in instance.history]


def test_a_create_passes_through_every_status_in_about_27_seconds() -> None:
    world = account()
    instance = created(world, T0)

    advance(world, T0 + 40)

    assert statuses(instance) == ["pending", "toCreate", "creating", "pulling", "running"]
    assert 20 <= instance.started_at - T0 <= 34


def test_the_service_comes_up_some_seconds_after_running() -> None:
    world = account()
    instance = created(world, T0)
    advance(world, T0 + 40)
    started = instance.started_at

    fresh = account()
    same = created(fresh, T0)
    advance(fresh, started + 7)
    assert not same.service_up
    advance(fresh, started + 8.1)
    assert same.service_up


def test_the_same_seed_gives_the_same_ids_and_times() -> None:
    first, second, other = account(), account(), account(seed=2)
    histories = []
    for world in (first, second, other):
        instance = created(world, T0)
        advance(world, T0 + 60)
        histories.append((instance.id, instance.history))

    assert histories[0] == histories[1]
    assert histories[0] != histories[2]


def test_asking_often_or_once_gives_the_same_history() -> None:
    often, once = account(), account()
    patient, hasty = created(once, T0), created(often, T0)
    for second in range(60):
        advance(often, T0 + second)
    advance(once, T0 + 59)

    assert patient.history == hasty.history


def test_speed_divides_durations_and_not_money() -> None:
    slow, fast = account(speed=1), account(speed=10)
    first, second = created(slow, T0), created(fast, T0)
    advance(slow, T0 + 100)
    advance(fast, T0 + 10)

    assert round((first.started_at - T0) / (second.started_at - T0), 3) == 10
    assert {i.rate for i in first.intervals} == {i.rate for i in second.intervals}


def test_a_change_of_speed_leaves_half_done_half_done() -> None:
    world = account()
    instance = created(world, T0)
    ends_at = instance.plan[-1].at
    half = T0 + (ends_at - T0) / 2

    advance(world, half)
    world.change_speed(10, half)

    assert instance.plan[-1].at == half + (ends_at - half) / 10


def test_the_meter_runs_from_pulling_until_the_stop_is_done() -> None:
    world = account()
    instance = created(world, T0)
    advance(world, T0 + 60)
    commands.stop(world, instance, T0 + 60)
    advance(world, T0 + 120)

    compute = [i for i in instance.intervals if i.kind == "compute"]
    times = {moment.status: moment.at for moment in instance.history}
    assert [(i.start, i.end) for i in compute] == [(times["pulling"], times["exited"])]
    assert compute[0].rate == 24 * PRODUCTS[PRODUCT].price


def test_a_stopped_instance_pays_for_its_disk_until_the_data_is_purged() -> None:
    world = account()
    instance = created(world, T0)
    advance(world, T0 + 60)
    commands.stop(world, instance, T0 + 60)
    advance(world, T0 + 120)
    assert instance.release_data_at == instance.stopped_at + 7 * 86_400

    advance(world, instance.release_data_at + 1)

    assert instance.purged_at == instance.release_data_at
    assert all(i.end is not None for i in instance.intervals)
    assert world.ledger.rate == 0


def test_an_account_without_money_freezes_everything_at_that_second() -> None:
    world = account(balance_usd=0.35)
    instance = created(world, T0)
    advance(world, T0 + 7200)

    frozen_at = next(m.at for m in instance.history if m.status == "freezing")
    pulled_at = next(m.at for m in instance.history if m.status == "pulling")
    assert round(frozen_at - pulled_at) == 3600
    assert instance.status == "exited"


def test_a_notified_spot_instance_is_reclaimed_at_its_deadline_and_its_gpu_is_lost() -> None:
    world = account()
    free = world.free_gpus(CLUSTER, PRODUCT)
    instance = created(world, T0, billing_mode="spot")
    advance(world, T0 + 60)
    instance.keeps_stock_when_reclaimed = True
    notify(world, instance, T0 + 60, T0 + 3660)

    advance(world, T0 + 3659)
    assert (instance.status, instance.now.spot_status) == ("running", "notified")
    advance(world, T0 + 3670)

    assert (instance.status, instance.now.spot_status) == ("exited", "terminated")
    assert instance.now.reclaim_at == T0 + 3660
    assert world.free_gpus(CLUSTER, PRODUCT) == free - 1


def test_stopping_a_notified_instance_oneself_is_no_reclaim() -> None:
    world = account()
    instance = created(world, T0, billing_mode="spot")
    advance(world, T0 + 60)
    notify(world, instance, T0 + 60, T0 + 3660)
    commands.stop(world, instance, T0 + 70)
    advance(world, T0 + 4000)

    assert (instance.status, instance.now.spot_status, instance.now.reclaim_at) == ("exited", "", 0)


def test_auto_migration_brings_a_reclaimed_instance_back() -> None:
    world = account()
    instance = created(world, T0, billing_mode="spot")
    instance.auto_migrate = True
    advance(world, T0 + 60)
    notify(world, instance, T0 + 60, T0 + 100)
    advance(world, T0 + 200)

    assert instance.status == "running"
    assert [job.type for job in world.jobs.values()] == ["autoInstanceMigrate"]
    assert (instance.now.spot_status, instance.now.reclaim_at) == ("running", 0)


def test_scripted_reclaims_come_by_themselves() -> None:
    world = account()
    world.spot_rate_per_hour = 60
    instance = created(world, T0, billing_mode="spot")
    advance(world, T0 + 86_400)

    assert "notified" in {moment.spot_status for moment in instance.history}
    notified = next(m for m in instance.history if m.spot_status == "notified")
    assert notified.at - instance.started_at >= world.timings.spot_protection


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["create", "start", "stop", "restart", "delete", "migrate", "crash", "notify", "grow"]),
        st.integers(0, 3),
        st.floats(0.0, 90.0, allow_nan=False),
    ),
    max_size=30,
)


@given(acts=ACTS)
def test_whatever_happens_gpus_and_money_add_up(acts: list[tuple[str, int, float]]) -> None:
    world = account(balance_usd=10_000)
    total, now = world.free_gpus(CLUSTER, PRODUCT), T0
    for verb, number, seconds in acts:
        now += seconds
        advance(world, now)
        try:
            _act(world, verb, number, now)
        except RefusedError:
            continue
    advance(world, now)

    held = sum(i.gpu_num for i in world.instances.values() if i.holds_stock)
    assert held + world.free_gpus(CLUSTER, PRODUCT) == total
    spent = sum(cost(i.intervals, now) for i in world.instances.values())
    assert abs(10_000 * UNITS_PER_USD - spent - world.ledger.balance_at(now)) < 1


def _act(world: World, verb: str, number: int, now: float) -> None:
    fleet = list(world.visible.values())
    if verb == "create" or not fleet:
        created(world, now, billing_mode="spot" if number % 2 else "onDemand", gpu_num=number + 1)
        return
    instance = fleet[number % len(fleet)]
    if verb == "crash":
        if instance.status == "running":
            crash(world, instance, now, "oom")
    elif verb == "notify":
        if instance.billing_mode == "spot" and instance.status == "running":
            notify(world, instance, now, now + 20)
    elif verb == "grow":
        commands.edit(world, instance, now, ports=None, expand_gb=50)
    else:
        getattr(commands, verb)(world, instance, now)


@pytest.mark.parametrize(
    ("ending", "old", "new"),
    [
        ("migrate_keeps_old", "exited", []),
        ("migrate_makes_new", "removed", ["running"]),
        ("migrate_leaves_both", "exited", ["running"]),
        ("migrate_loses_all", "removed", []),
        ("migrate_hangs", "migrating", []),
    ],
)
def test_a_move_may_fail_half_way(ending: str, old: str, new: list[str]) -> None:
    world = account()
    free = world.free_gpus(CLUSTER, PRODUCT)
    instance = created(world, T0, billing_mode="spot")
    advance(world, T0 + 60)
    job = commands.migrate(world, instance, T0 + 60, ending=ending)
    advance(world, T0 + 120)

    others = [one for one in world.instances.values() if one is not instance]
    assert (instance.status, [one.status for one in others]) == (old, new)
    assert [one.name for one in others] == [instance.name] * len(new)
    assert job.state_at(T0 + 120) == "fail"
    held = sum(one.holds_stock for one in world.instances.values())
    assert world.free_gpus(CLUSTER, PRODUCT) + held == free

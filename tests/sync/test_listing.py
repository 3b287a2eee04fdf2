"""What a list of Novita's, over a socket, does to our records: found, changed outside, reclaimed, missing, gone and back."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from instances import provider
from instances.models import Event, Instance, Machine, ProviderAccount
from instances.operations import request_delete, request_stop
from sync import reclaims, watch
from sync.account import verify_account
from tests.driving import Drive, driving, event_types
from tests.factories import PERSON
from tests.sync.fleets import STEP, fleet, hide, id_of, listed, show, world_of


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, speed=5) as one:
        yield one


def at_rest(drive: Drive, novita_id: str, status: str) -> None:
    """Until Novita is done with a command that somebody gave it elsewhere."""
    for _ in range(30):
        drive.clock.shift(1)
        if drive.novita.get(novita_id).get("status") == status:
            return
    raise AssertionError(f"{novita_id} is not {status}")


# --- found


def test_what_is_found_is_listed_priced_and_left_alone(drive: Drive) -> None:
    novita_id = drive.novita.create(name="somebody-elses", gpuNum=2)
    at_rest(drive, novita_id, "running")

    listed(drive)
    drive.let_pass(120, step=10)

    instance = Instance.objects.get()
    assert instance.machine is not None
    assert (instance.managed, instance.wanted, instance.name) == (False, "", "somebody-elses")
    assert instance.phase == "ready"
    assert instance.machine.novita_id == novita_id
    assert str(instance.machine.price_usd_per_hour) == "0.70000"
    assert instance.machine.billed_since is not None
    assert event_types(instance)[0] == "instance.discovered"
    assert not instance.jobs.exists()
    assert drive.count("stop") == drive.count("start") == drive.count("delete") == 0


# --- changed outside


def test_started_at_novita_is_a_wish_and_is_never_undone(drive: Drive) -> None:
    [instance] = fleet(drive, 1)
    request_stop(instance.pk, actor=PERSON, reason="", now=drive.now)
    drive.until_phase(instance, "stopped", step=STEP)
    drive.let_pass(70, step=10)

    drive.novita.command("start", id_of(instance))
    drive.until_phase(instance, "ready", step=STEP)
    drive.let_pass(120, step=10)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted, instance.wanted_by_kind) == ("ready", "running", "outside")
    told = instance.events.get(type="instance.changed_outside")
    assert (told.before, told.after) == ({"wanted": "stopped"}, {"wanted": "running"})
    assert drive.count("stop") == 1


def test_stopped_at_novita_is_a_wish_only_after_two_reads(drive: Drive) -> None:
    [instance] = fleet(drive, 1)
    drive.novita.command("stop", id_of(instance))
    at_rest(drive, id_of(instance), "exited")

    listed(drive)
    instance.refresh_from_db()
    assert (instance.phase, instance.wanted) == ("stopped", "running")
    assert "instance.changed_outside" not in event_types(instance)

    listed(drive)
    instance.refresh_from_db()
    assert (instance.phase, instance.wanted, instance.wanted_by_kind) == ("stopped", "stopped", "outside")
    assert event_types(instance).count("instance.changed_outside") == 1

    drive.let_pass(60, step=10)
    assert event_types(instance).count("instance.changed_outside") == 1
    assert drive.count("start") == 0


def test_deleted_at_novita_is_gone_after_a_list_and_a_read_and_is_not_made_again(drive: Drive) -> None:
    [instance, *_] = fleet(drive, 2)
    drive.novita.command("delete", id_of(instance))

    drive.until_phase(instance, "gone", step=STEP)
    drive.let_pass(60, step=10)

    instance.refresh_from_db()
    assert (instance.wanted, instance.ended_at is not None) == ("", True)
    assert "instance.changed_outside" in event_types(instance)
    assert drive.count("create") == 2
    assert instance.machine is not None
    assert instance.machine.billed_since is None


def test_a_crash_is_no_wish_before_a_second_read_and_says_why(drive: Drive) -> None:
    [instance] = fleet(drive, 1)
    drive.novita.turn("load", instance=id_of(instance), crash="OOMKilled")

    listed(drive)

    instance.refresh_from_db()
    assert instance.machine is not None
    assert "OOMKilled" in instance.machine.status_error
    assert instance.wanted == "running"


# --- reclaimed


def reclaim(drive: Drive, instance: Instance) -> None:
    novita_id = id_of(instance)
    drive.novita.turn("spot", instance=novita_id, action="notify", deadline_seconds=5)
    drive.novita.turn("spot", instance=novita_id, action="reclaim")


def test_a_reclaimed_spot_instance_is_not_taken_as_stopped_outside(drive: Drive) -> None:
    [instance] = fleet(drive, 1)
    reclaim(drive, instance)

    for _ in range(3):
        listed(drive)

    instance.refresh_from_db()
    assert (instance.wanted, instance.met) == ("running", True)
    assert "instance.changed_outside" not in event_types(instance)
    assert event_types(instance).count("instance.reclaimed") == 1
    assert drive.count("start") == 0  # bringing it back is for the rule, not for a list


def test_the_rule_brings_a_reclaimed_instance_back_in_place(drive: Drive) -> None:
    [instance] = fleet(drive, 1)
    reclaim(drive, instance)
    listed(drive)

    [item] = reclaims.revive(now=drive.now, dry_run=False)
    drive.until_phase(instance, "ready", step=STEP)

    assert item.acted
    assert (drive.count("create"), drive.count("start")) == (1, 1)


def test_one_that_was_stopped_is_never_revived_by_a_reclaim(drive: Drive) -> None:
    [instance] = fleet(drive, 1)
    reclaim(drive, instance)
    request_stop(instance.pk, actor=PERSON, reason="", now=drive.now)
    drive.until_phase(instance, "stopped", step=STEP)

    assert [item.acted for item in reclaims.revive(now=drive.now, dry_run=False)] in ([False], [])
    drive.let_pass(60, step=10)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted, drive.count("start")) == ("stopped", "stopped", 0)


# --- missing, gone, back


def test_missing_from_a_list_is_not_gone_while_it_is_found_by_id(drive: Drive) -> None:
    [first, *_] = fleet(drive, 3)
    novita_id = id_of(first)
    hide(drive, novita_id)

    listed(drive)
    assert Machine.objects.get(novita_id=novita_id).missing_since is not None
    drive.let_pass(120, step=10)

    first.refresh_from_db()
    assert (first.phase, first.wanted) == ("ready", "running")
    assert not Machine.objects.filter(absent_at__isnull=False).exists()

    show(drive, novita_id)
    listed(drive)
    assert Machine.objects.get(novita_id=novita_id).missing_since is None


def test_not_found_by_id_is_not_gone_while_it_is_listed(drive: Drive) -> None:
    [instance] = fleet(drive, 1)
    novita_id = id_of(instance)
    machine = Machine.objects.get()
    world = world_of(drive)
    kept = world.instances.pop(novita_id)

    drive.clock.shift(1)
    watch.read_by_id(machine, provider.novita())
    world.instances[novita_id] = kept

    instance.refresh_from_db()
    assert (instance.phase, Machine.objects.get().absent_at) == ("ready", None)


def test_what_was_gone_and_is_listed_again_is_back(drive: Drive) -> None:
    [first, *_] = fleet(drive, 3)
    novita_id = id_of(first)
    world = world_of(drive)
    kept = world.instances.pop(novita_id)
    hide(drive, novita_id)
    drive.until_phase(first, "gone", step=STEP)

    world.instances[novita_id] = kept
    show(drive, novita_id)
    drive.until_phase(first, "ready", step=STEP)

    assert (first.ended_at, first.machine.absent_at if first.machine else "") == (None, None)
    assert Instance.objects.count() == 3
    assert not any(drive.count(verb) for verb in ("start", "stop", "delete"))


def test_a_deleted_one_that_comes_back_is_deleted_again(drive: Drive) -> None:
    [first, *_] = fleet(drive, 3)
    novita_id = id_of(first)
    world = world_of(drive)
    request_delete(first.pk, actor=PERSON, reason="", now=drive.now)
    kept = world.instances.pop(novita_id)
    hide(drive, novita_id)
    drive.until_phase(first, "deleted", step=STEP)

    world.instances[novita_id] = kept
    show(drive, novita_id)
    drive.until(lambda: drive.machines("worker-0--") and drive.machines("worker-0--")[0]["is_gone"], step=STEP)

    drive.until_phase(first, "deleted", step=STEP)
    assert "instance.reappeared" in event_types(first)


# --- the account


def test_a_key_that_shows_none_of_our_machines_freezes_everything(drive: Drive, settings: Any) -> None:
    [first, second] = fleet(drive, 2)
    ids = [id_of(first), id_of(second)]
    settings.NOVITA_API_KEY = "sk_another"
    hide(drive, *ids)

    for _ in range(3):
        listed(drive)
    drive.let_pass(120, step=10)

    assert ProviderAccount.objects.get().frozen_since is not None
    assert len(drive.alarms("account_frozen")) == 1
    for instance in (first, second):
        instance.refresh_from_db()
        assert (instance.phase, instance.wanted) == ("ready", "running")

    show(drive, ids[1])
    listed(drive)
    assert ProviderAccount.objects.get().frozen_since is None
    assert drive.alarms("account_frozen") == []
    assert Event.objects.filter(type="account.thawed").count() == 1


def test_a_new_key_that_shows_our_machines_is_taken_silently(drive: Drive, settings: Any) -> None:
    fleet(drive, 2)
    settings.NOVITA_API_KEY = "sk_rotated"

    listed(drive)

    assert ProviderAccount.objects.get().frozen_since is None
    assert not Event.objects.filter(type__startswith="account.").exists()


def test_another_accounts_database_is_refused_with_both_names(drive: Drive, settings: Any) -> None:
    listed(drive)
    verify_account()
    settings.ACCOUNT_NAME = "https://api.novita.ai"

    with pytest.raises(ImproperlyConfigured) as refused:
        verify_account()

    assert "simulator" in str(refused.value)
    assert "https://api.novita.ai" in str(refused.value)
    assert "NOVITA_API_BASE_URL" in str(refused.value)

"""Moves and replacements after a reclaim: what is made ready, what is let go, and what a move leaves that fails half-way."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from instances import operations, provider
from instances.executor.replace import replacement_wish
from instances.models import Instance, Job, Machine, Reclaim
from instances.operations import pause_automation, resume_automation
from instances.reclaims import note_sign
from instances.webhooks.kinds import Severity, telling_of
from sync.listing import run_list
from tests.driving import Drive, event_types
from tests.factories import PERSON, make_instance
from tests.sync.reclaiming import HOUR, empty_shelves, ended, novita_id, replacing, settled, spot, tried

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("with_reclaims")]


def test_a_disposable_one_that_cannot_start_is_moved_in_its_cluster(drive: Drive) -> None:
    instance = settled(drive)
    drive.faults({"call": "start", "kind": "no_capacity"})

    spot(drive, instance, "reclaim", give_back_stock=True)
    record = ended(drive)

    assert tried(record) == [*[("start", "no_capacity")] * 3, ("migrate", "succeeded")]
    first, *_, last = record.tries[:3]
    assert record.taken_at is not None
    assert last["at"] <= (record.taken_at + timedelta(minutes=5)).isoformat()
    assert first["at"] < last["at"]
    assert len(drive.living()) == 1
    types = event_types(instance)
    assert types.index("instance.ready", types.index("instance.reclaimed")) < types.index("instance.migrated")


def test_one_that_can_neither_start_nor_move_is_replaced_elsewhere_before_the_old_is_let_go(drive: Drive) -> None:
    instance = settled(drive, max_price_usd_per_hour=Decimal(2))
    old = novita_id(instance)
    empty_shelves(drive, but=("us-ca-nas-2",))

    spot(drive, instance, "reclaim")
    record = ended(drive, seconds=900)

    instance.refresh_from_db()
    assert tried(record)[-2:] == [("migrate", "no_capacity"), ("replace", "succeeded")]
    [alive] = drive.living()
    assert (alive["id"], alive["cluster_id"]) == (novita_id(instance), "us-ca-nas-2")
    assert (record.novita_id_before, record.novita_id_after) == (old, alive["id"])
    assert Machine.objects.get(novita_id=old).absent_at is not None
    assert (instance.phase, instance.wanted, instance.met) == ("ready", "running", True)
    types = event_types(instance)
    assert types.index("instance.replaced") < types.index("instance.old_let_go") < types.index("instance.migrated")
    after = [one for one in types[types.index("instance.reclaimed") :] if not one.startswith("alarm.")]
    outside = [(telling_of(one).webhook, telling_of(one).severity) for one in after]
    assert [webhook for webhook, _ in outside if webhook][:1] == ["instance.reclaim_notified"]
    assert [webhook for webhook, _ in outside if webhook][-1] == "instance.migrated"
    assert outside.count(("", Severity.WARNING)) == 1  # one message that says it all
    told = instance.events.get(type="instance.reclaim_ended")
    for part in (
        "found taken back",
        "a start in place",
        "did not work (no_capacity)",
        "a replacement",
        alive["id"],
        "(was $",
    ):
        assert part in told.reason
    told = instance.events.get(type="instance.migrated")
    assert (told.before["novita_id"], told.after["novita_id"]) == (old, alive["id"])
    assert told.after["endpoints"]


def test_nothing_dearer_is_taken_where_the_request_names_no_cap(drive: Drive) -> None:
    instance = settled(drive)
    empty_shelves(drive, but=("eu-de-3",))  # where it costs more

    spot(drive, instance, "reclaim")
    drive.let_pass(700, step=20)

    record = Reclaim.objects.get()
    assert (record.state, record.tries[-1]["verb"] != "create") == ("decided", True)
    assert ("replace", "no_capacity") in tried(record)
    assert record.next_at is not None
    assert len(drive.machines()) == 1


def test_on_notice_a_disposable_one_may_be_replaced_before_the_deadline(drive: Drive) -> None:
    instance = settled(drive, on_reclaim={"on_notice": "replace"})
    old = novita_id(instance)
    spot(drive, instance, "notify", deadline_seconds=HOUR)

    record = ended(drive)

    [alive] = drive.living()
    assert alive["id"] == novita_id(instance) != old
    assert (record.outcome, tried(record)) == ("back", [("replace", "succeeded")])
    assert record.taken_at is None


def test_a_notice_withdrawn_meanwhile_gives_the_replacement_up(drive: Drive) -> None:
    instance = settled(drive, on_reclaim={"on_notice": "replace"})
    old = novita_id(instance)
    spot(drive, instance, "notify", deadline_seconds=HOUR)
    drive.until(lambda: len(drive.living()) == 2, seconds=60)

    spot(drive, instance, "withdraw")
    drive.until_idle(step=2)
    drive.until(lambda: len(drive.living()) == 1, step=5)
    drive.let_pass(60, step=15)

    assert [one["id"] for one in drive.living()] == [old]
    assert Reclaim.objects.get().outcome in ("withdrawn", "back")
    assert drive.alarms("surplus_machine") == []


def test_a_stop_wished_while_it_is_replaced_leaves_one_stopped_machine(drive: Drive) -> None:
    instance = settled(drive, on_reclaim={"on_notice": "replace"})
    spot(drive, instance, "notify", deadline_seconds=HOUR)
    drive.until(lambda: len(drive.living()) == 2, seconds=60)

    operations.request_stop(instance.pk, actor=PERSON, reason="enough", now=drive.now)
    drive.until_phase(instance, "stopped", step=2)
    drive.let_pass(60, step=15)

    assert [one["status"] for one in drive.living()] == ["exited"]
    assert Reclaim.objects.get().outcome == "wish"


@pytest.mark.parametrize("wish", [operations.request_stop, operations.request_delete])
def test_a_wish_does_not_end_a_replacement_whose_undoing_never_left_the_house(drive: Drive, wish: Any) -> None:
    instance = settled(drive, on_reclaim={"on_notice": "replace"})
    spot(drive, instance, "notify", deadline_seconds=HOUR)
    drive.until(lambda: len(drive.living()) == 2, seconds=60)
    drive.faults({"call": "delete", "kind": "429", "count": 3})

    wish(instance.pk, actor=PERSON, reason="enough", now=drive.now)
    drive.until(lambda: drive.alarms("surplus_machine"))
    assert "asked" not in drive.alarms("surplus_machine")[0].text
    drive.let_pass(600, step=20)

    stays = ["exited"] if wish is operations.request_stop else []
    assert [one["status"] for one in drive.living()] == stays
    assert drive.alarms("surplus_machine") == []
    assert event_types(instance).count("instance.surplus_found") == 1


def test_a_wish_that_goes_on_leaves_a_new_one_that_novita_does_not_delete_truthfully_named(drive: Drive) -> None:
    instance = settled(drive, on_reclaim={"on_notice": "replace"})
    spot(drive, instance, "notify", deadline_seconds=HOUR)
    drive.until(lambda: len(drive.living()) == 2, seconds=60)
    drive.faults({"call": "delete", "kind": "500"})

    operations.request_stop(instance.pk, actor=PERSON, reason="enough", now=drive.now)
    drive.until_phase(instance, "stopped", step=2)

    [alarm] = drive.alarms("surplus_machine")
    assert alarm.subject != novita_id(instance)
    assert "its deletion was asked for" in alarm.text
    assert "nothing here asks again" in alarm.remedy


@pytest.mark.parametrize(
    ("ending", "alive"),
    [("migrate_keeps_old", 1), ("migrate_makes_new", 1), ("migrate_leaves_both", 2), ("migrate_loses_all", 1)],
)
def test_a_move_that_fails_half_way_leaves_one_running(drive: Drive, ending: str, alive: int) -> None:
    other = settled(drive, "other")
    instance = settled(drive)
    old = novita_id(instance)
    drive.faults({"call": "start", "kind": "no_capacity", "count": 3}, {"call": "migrate", "kind": ending, "count": 1})

    spot(drive, instance, "reclaim", give_back_stock=True)
    record = ended(drive, seconds=1200)

    instance.refresh_from_db()
    living = drive.living("worker")
    assert (record.outcome, instance.phase) == ("back", "ready"), record.tries
    assert len(living) == alive
    assert [one["id"] for one in living if one["status"] == "running"] == [novita_id(instance)]
    assert ending == "migrate_keeps_old" or novita_id(instance) != old
    assert len(drive.alarms("surplus_machine")) == alive - 1
    other.refresh_from_db()
    assert other.phase == "ready"


def test_a_move_that_never_ends_is_replaced(drive: Drive) -> None:
    instance = settled(drive)
    old = novita_id(instance)
    drive.faults(
        {"call": "start", "kind": "no_capacity", "count": 3}, {"call": "migrate", "kind": "migrate_hangs", "count": 1}
    )

    spot(drive, instance, "reclaim", give_back_stock=True)
    record = ended(drive, seconds=1800, step=30)

    assert (record.outcome, [one["id"] for one in drive.living()]) == ("back", [novita_id(instance)])
    assert novita_id(instance) != old


def test_a_replacement_costs_at_most_what_it_did_and_is_on_demand_only_where_that_was_allowed() -> None:
    for cap, fallback in ((None, False), (Decimal("0.5"), True)):
        instance = make_instance(max_price_usd_per_hour=cap, fallback_to_on_demand=fallback)
        assert instance.machine is not None

        wish = replacement_wish(instance, instance.machine)

        assert wish.max_price_usd_per_hour == (cap or instance.machine.price_usd_per_hour)
        assert (wish.billing_mode, wish.fallback_to_on_demand) == ("spot", fallback)


def test_a_persons_move_is_told_once_it_is_well_at_its_new_place(drive: Drive) -> None:
    instance = settled(drive)

    operations.request_migrate(instance.pk, actor=PERSON, reason="nearer", now=drive.now)
    drive.until(lambda: "instance.migrated" in event_types(instance), step=5)
    drive.let_pass(60, step=10)

    types = event_types(instance)
    assert types.count("instance.migrated") == 1
    assert types.index("instance.ready", types.index("job.migrate_sent")) < types.index("instance.migrated")


def taken_without_room(drive: Drive) -> Instance:
    """Taken, and three starts find no GPU: a move comes next."""
    instance = settled(drive)
    drive.faults({"call": "start", "kind": "no_capacity", "count": 3})
    spot(drive, instance, "reclaim", give_back_stock=True)
    return instance


def test_one_that_runs_again_while_its_replacement_is_made_is_kept_and_the_new_one_let_go(drive: Drive) -> None:
    instance, old = replacing(drive)

    drive.novita.command("start", old)
    record = ended(drive)
    drive.until_idle()
    drive.let_pass(60, step=10)

    assert [(one["id"], one["status"]) for one in drive.living()] == [(old, "running")]
    assert (novita_id(instance), record.outcome) == (old, "back")
    assert drive.alarms("surplus_machine") == []


def test_the_old_one_stays_while_automation_is_paused_after_the_swap(drive: Drive) -> None:
    instance, old = replacing(drive)
    pause_automation(until=drive.now + timedelta(hours=1), reason="maintenance", actor=PERSON, now=drive.now)

    drive.until(lambda: novita_id(instance) != old, step=3)
    drive.let_pass(120, step=10)
    assert len(drive.living()) == 2
    resume_automation(actor=PERSON, now=drive.now)
    drive.until(lambda: len(drive.living()) == 1, step=5)

    assert [one["id"] for one in drive.living()] == [novita_id(instance)]


def test_data_called_precious_meanwhile_is_left_and_named(drive: Drive) -> None:
    instance, old = replacing(drive)
    Instance.objects.update(local_data="precious")

    drive.until_idle()

    assert old in [one["id"] for one in drive.living()]
    assert [one.subject for one in drive.alarms("surplus_machine")] == [old]
    assert novita_id(instance) != old


def test_a_new_one_whose_deletion_fails_stays_named_and_is_asked_for_again(drive: Drive) -> None:
    instance, old = replacing(drive)
    drive.faults({"call": "delete", "kind": "500", "count": 4})

    drive.novita.command("start", old)
    drive.until(lambda: drive.alarms("surplus_machine"))
    assert "per hour" in drive.alarms("surplus_machine")[0].text
    drive.until(lambda: len(drive.living()) == 1, seconds=900, step=15)
    drive.until_idle(step=5)

    assert (novita_id(instance), [one["id"] for one in drive.living()]) == (old, [old])
    assert drive.alarms("surplus_machine") == []


def test_a_deletion_that_never_left_the_house_is_not_counted_as_asked_in_vain(drive: Drive) -> None:
    instance, old = replacing(drive)
    drive.faults({"call": "delete", "kind": "429", "count": 7})

    drive.until_idle(seconds=3600, step=30)

    assert [one["id"] for one in drive.living()] == [novita_id(instance)]
    assert novita_id(instance) != old
    assert drive.count("delete") == 8
    assert drive.alarms("surplus_machine") == []


def test_another_time_for_the_reclaim_goes_on_with_the_replacement(drive: Drive) -> None:
    instance, _ = replacing(drive)
    machine, first = instance.machine, Reclaim.objects.get()
    assert machine is not None

    Machine.objects.filter(pk=machine.pk).update(reclaim_at=first.reclaim_at + timedelta(seconds=30))
    machine.refresh_from_db()
    note_sign(instance, machine, began_at=drive.now, now=drive.now)

    job = Job.objects.get(verb="replace")
    successor = Reclaim.objects.get(state__in=["seen", "decided", "acting"])
    assert (job.is_open, job.arguments["reclaim"], first.pk != successor.pk) == (True, successor.pk, True)
    drive.do_jobs()
    assert Job.objects.get(verb="replace").arguments["reclaim"] == successor.pk


def test_data_called_precious_is_not_moved_by_a_job_that_waits(drive: Drive) -> None:
    taken_without_room(drive)

    def turn_precious(job_id: UUID) -> None:
        if Job.objects.get(pk=job_id).verb == "migrate":
            Instance.objects.update(local_data="precious")

    drive.before_job = turn_precious
    record = ended(drive, seconds=900)

    assert (drive.count("migrate"), record.outcome) == (0, "back")


def test_one_that_runs_again_before_its_move_is_sent_is_not_moved(drive: Drive) -> None:
    instance = taken_without_room(drive)

    def run_again(job_id: UUID) -> None:
        if Job.objects.get(pk=job_id).verb == "migrate" and drive.living()[0]["status"] == "exited":
            drive.novita.command("start", novita_id(instance))
            drive.clock.shift(timedelta(minutes=1))
            run_list(provider.novita(), trigger="manual", actor=PERSON)

    drive.before_job = run_again
    record = ended(drive, seconds=900)
    drive.let_pass(60, step=10)

    assert (drive.count("migrate"), record.outcome) == (0, "back")
    assert Job.objects.get(verb="migrate").state == "cancelled"
    instance.refresh_from_db()
    assert (instance.wanted, instance.phase) == ("running", "ready")


def test_a_move_that_waits_is_held_while_automation_is_paused(drive: Drive) -> None:
    taken_without_room(drive)

    def pause(job_id: UUID) -> None:
        if Job.objects.get(pk=job_id).verb == "migrate":
            pause_automation(until=drive.now + timedelta(minutes=5), reason="hold", actor=PERSON, now=drive.now)

    drive.before_job = pause
    drive.until(lambda: Job.objects.filter(verb="migrate").exists(), seconds=600, step=3)
    drive.step(3)
    drive.before_job = None
    drive.let_pass(120, step=10)
    assert drive.count("migrate") == 0

    record = ended(drive, seconds=900)
    assert (drive.count("migrate"), record.outcome) == (1, "back")


def test_a_cap_that_is_lowered_while_a_replacement_waits_holds(drive: Drive) -> None:
    instance = settled(drive, max_price_usd_per_hour=Decimal(2))
    empty_shelves(drive, but=("us-ca-nas-2",))
    drive.faults({"call": "create", "kind": "429", "count": 1, "retry_after": 60.0})
    spot(drive, instance, "reclaim")
    drive.until(lambda: Job.objects.filter(verb="replace", state="queued", attempts=1).exists(), seconds=900, step=1)

    changed = {"max_price_usd_per_hour": Decimal("0.01")}
    operations.change_settings(instance.pk, changed, actor=PERSON, reason="", now=drive.now)
    drive.until(lambda: Job.objects.filter(verb="replace", state="failed").exists(), step=1)

    job = Job.objects.get(verb="replace")
    assert (job.error_code, len(drive.machines())) == ("no_capacity", 1)
    assert "above the cap of $0.01" in job.error_detail


def test_a_replacement_that_the_key_may_not_make_fails_and_leaves_the_old_one(drive: Drive) -> None:
    instance = settled(drive, max_price_usd_per_hour=Decimal(2))
    old = novita_id(instance)
    empty_shelves(drive, but=("us-ca-nas-2",))
    drive.faults({"call": "create", "kind": "401"})
    spot(drive, instance, "reclaim")

    drive.until(lambda: Job.objects.filter(verb="replace", state="failed").exists(), seconds=1800, step=5)

    job = Job.objects.filter(verb="replace", state="failed").get()
    assert (job.error_code, job.attempts, novita_id(instance), len(drive.machines())) == ("auth_failed", 5, old, 1)
    assert Machine.objects.filter(replaces__isnull=False, given_up_at=None).count() == 0

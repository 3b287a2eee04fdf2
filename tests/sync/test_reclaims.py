"""The pass over reclaims: who is considered, how many at once, rehearsed by whom, and what is kept of it."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from instances import provider
from instances.events import Actor
from instances.models import Instance, Job, PeriodicWork, Reclaim
from instances.operations import cancel_job, pause_automation, request_start, request_stop
from instances.phases import refresh_phase
from sync.reclaims import Item, act_if_due, most_acts, revive
from tests.driving import Drive
from tests.factories import NOW, PERSON, make_instance, make_job, make_machine

RECLAIMED = {"spot_status": "terminated", "reclaim_at": NOW, "running_since": NOW - timedelta(hours=2)}


@pytest.fixture(autouse=True)
def novita(drive: Drive) -> Drive:
    """Asked for its own jobs by each pass that finds a reclaim."""
    return drive


def reclaimed_instance(**columns: Any) -> Instance:
    return make_instance(status="exited", machine=RECLAIMED, **{"wanted": "running", **columns})


def codes(items: list[Item]) -> list[str]:
    return [str(item.decision.code) for item in items]


def test_a_reclaimed_instance_gets_a_record_and_a_start_job_by_the_rule() -> None:
    instance = reclaimed_instance(name="taken")

    items = revive(now=NOW, dry_run=False)

    job, record = Job.objects.get(), Reclaim.objects.get()
    asked = (job.instance_id, job.verb, job.requested_by_kind, job.requested_by_name)
    assert asked == (instance.pk, "start", "rule", "reclaim")
    assert [item.acted for item in items] == [True]
    assert (record.state, record.action, record.job_id) == ("acting", "start", job.pk)
    assert record.evidence["taken"]["spot_status"] == "terminated"
    assert instance.events.filter(type="instance.revival_requested", actor_kind="rule").count() == 1


def test_a_rehearsal_writes_nothing_and_says_what_would_be_done() -> None:
    instance = reclaimed_instance()
    events = instance.events.count()

    items = revive(now=NOW, dry_run=True)

    assert [(item.decision.action, item.acted) for item in items] == [("start", False)]
    assert not Job.objects.exists()
    assert not Reclaim.objects.exists()
    assert instance.events.count() == events


def test_each_one_gets_a_reason_eligible_or_not() -> None:
    make_instance(name="calm")
    make_instance(name="stopped", status="exited", machine=RECLAIMED, wanted="stopped")
    make_job(reclaimed_instance(name="under-way"), verb="start")

    items = revive(now=NOW, dry_run=True)

    assert codes(items) == ["not_reclaimed", "not_wanted", "job_open"]
    assert all(item.decision.reason for item in items)


def test_one_that_somebody_stopped_is_never_revived() -> None:
    make_instance(status="exited", machine=RECLAIMED, wanted="stopped")

    revive(now=NOW, dry_run=False)

    assert (Reclaim.objects.get().outcome, Job.objects.count()) == ("not_wanted", 0)


def test_a_pause_holds_the_rule_and_the_command_says_so() -> None:
    reclaimed_instance(name="taken")
    pause_automation(until=NOW + timedelta(days=6), reason="maintenance", actor=PERSON, now=NOW)
    out = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("migrate_spot_instances", "--json", stdout=out)

    assert ended.value.code == 2
    [item] = json.loads(out.getvalue())
    assert (item["name"], item["eligible"], item["code"]) == ("taken", False, "held")
    assert "maintenance" in item["reason"]


def test_the_command_shows_a_table_with_a_reason_for_each() -> None:
    reclaimed_instance(name="taken")
    make_instance(name="calm")
    out = StringIO()

    call_command("migrate_spot_instances", "--dry-run", stdout=out)

    assert "nothing is changed" in out.getvalue()
    assert "start: start" in out.getvalue()
    assert "nothing: not_reclaimed" in out.getvalue()
    assert not Job.objects.exists()


def test_unmanaged_and_on_demand_instances_are_not_considered() -> None:
    make_instance(status="exited", machine=RECLAIMED, managed=False)
    reclaimed_instance()
    make_instance(status="exited", machine=RECLAIMED | {"billing_mode": "on_demand"}, wanted="running")

    assert len(revive(now=NOW, dry_run=False)) == 1


def reclaimed_fleet(count: int) -> None:
    for _ in range(count):
        reclaimed_instance()


def test_a_pass_does_so_many_and_the_next_goes_on() -> None:
    reclaimed_fleet(7)

    first = revive(now=NOW, dry_run=False)
    assert most_acts() == 5
    assert codes(first).count("pace") == 2
    assert Job.objects.filter(verb="start").count() == 5

    PeriodicWork.objects.all().delete()
    act_if_due(timezone.now() + timedelta(seconds=6))
    assert Job.objects.filter(verb="start").count() == 7


def test_the_pace_may_be_set(settings: Any) -> None:
    settings.MIGRATION_MOST_PER_PASS = 1
    reclaimed_fleet(2)

    revive(now=NOW, dry_run=False)

    assert Job.objects.filter(verb="start").count() == 1


def test_switched_off_it_asks_and_starts_nothing(settings: Any) -> None:
    settings.MIGRATION_ENABLED = False
    reclaimed_instance()

    act_if_due(NOW)

    assert not Job.objects.exists()
    assert Reclaim.objects.get().action == "ask"


def test_the_sweep_finds_what_was_left_over() -> None:
    reclaimed_instance()

    assert act_if_due(NOW) == "1 reclaims acted on"
    assert Job.objects.get().verb == "start"


def test_a_wish_ends_the_record_in_the_same_transaction() -> None:
    for operation, wanted in ((request_stop, "stopped"), (request_start, "running")):
        instance = reclaimed_instance()
        revive(now=NOW, dry_run=False)
        Job.objects.filter(instance=instance).update(state="failed", finished_at=NOW)
        operation(instance.pk, actor=PERSON, reason="mine now", now=NOW)

        record = Reclaim.objects.get(instance=instance)
        assert (record.state, record.outcome, instance.reclaims.count()) == ("done", "wish", 1)
        instance.refresh_from_db()
        assert instance.wanted == wanted


def test_a_cancelled_start_is_a_wish_too() -> None:
    instance = reclaimed_instance()
    revive(now=NOW, dry_run=False)

    cancel_job(Job.objects.get().pk, actor=PERSON, reason="leave it", now=NOW)

    instance.refresh_from_db()
    assert (instance.wanted, Reclaim.objects.get().outcome) == ("stopped", "wish")


def test_while_it_is_open_the_phase_says_so() -> None:
    instance = reclaimed_instance()
    revive(now=NOW, dry_run=True)
    assert instance.phase == "stopped"

    revive(now=NOW, dry_run=False)
    Job.objects.update(state="failed", finished_at=NOW)
    instance.refresh_from_db()
    refresh_phase(instance, now=NOW)

    assert instance.phase == "reclaiming"


def test_who_asked_is_told() -> None:
    reclaimed_instance()

    revive(now=NOW, dry_run=False, actor=Actor(kind="command", name="migrate_spot_instances"))

    assert Job.objects.get().requested_by_kind == "command"


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({}, "surplus"),
        ({"let_go_at": NOW}, "surplus"),  # asked away, and shown running all the same
        ({"let_go_at": NOW, "status": "toremove"}, "start"),
        ({"let_go_at": NOW, "status": "removed", "absent_at": NOW}, "start"),
        ({"status": "exited"}, "start"),
    ],
)
def test_a_second_machine_that_runs_is_asked_about(columns: dict[str, Any], code: str) -> None:
    instance = reclaimed_instance()
    own = instance.machine
    make_machine(instance, **columns)
    instance.machine = own
    instance.save(update_fields=["machine"])

    assert codes(revive(now=NOW, dry_run=True)) == [code]


def test_novitas_jobs_unread_moves_nothing(drive: Drive) -> None:
    instance = reclaimed_instance()
    revive(now=NOW, dry_run=False)
    Job.objects.update(state="failed", finished_at=NOW)
    tries = [{"verb": "start", "job": "", "at": NOW.isoformat(), "ended_at": NOW.isoformat(), "outcome": "", "detail": ""}]
    Reclaim.objects.update(tries=tries * 3)
    drive.faults({"call": "jobs", "kind": "500"})
    provider.forget_client()

    items = revive(now=NOW + timedelta(minutes=1), dry_run=True)

    assert [(item.decision.action, item.decision.code) for item in items] == [("wait", "jobs_unread")], instance

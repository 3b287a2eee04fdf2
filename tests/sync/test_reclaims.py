"""Which reclaimed spot instances come back, and why not the others."""

import itertools
import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from instances.lifecycle import Observed, Wanted
from instances.models import Instance, Job
from instances.operations import pause_automation
from sync.reclaims import ReclaimFacts, decide_reclaim, revive, revive_if_due
from tests.factories import NOW, PERSON, make_instance, make_job

RECLAIMED = {"spot_status": "terminated", "reclaim_at": NOW, "running_since": NOW - timedelta(hours=2)}


def reclaimed_instance(**columns: Any) -> Instance:
    return make_instance(status="exited", machine=RECLAIMED, wanted="running", **columns)


def test_only_a_reclaimed_one_that_is_wanted_running_and_free_comes_back() -> None:
    truths = [True, False]
    for facts in itertools.product(["", *Wanted.values], truths, Observed, truths, truths, ["", "paused"]):
        wanted, met, observed, reclaimed, job_open, held = facts
        decision = decide_reclaim(
            ReclaimFacts(wanted=wanted, met=met, observed=observed, reclaimed=reclaimed, job_open=job_open, held=held)
        )

        comes_back = (wanted, observed, reclaimed, job_open, held) == ("running", Observed.EXITED, True, False, "")
        assert decision.start == comes_back, facts
        assert decision.reason, facts
        assert decision.code, facts


@pytest.mark.django_db
def test_a_reclaimed_instance_gets_a_start_job_by_the_rule() -> None:
    instance = reclaimed_instance(name="taken")

    items = revive(now=NOW, dry_run=False)

    job = Job.objects.get()
    assert (job.instance_id, job.verb, job.requested_by_kind, job.requested_by_name) == (
        instance.pk,
        "start",
        "rule",
        "reclaim",
    )
    assert [item.started for item in items] == [True]
    assert instance.events.filter(type="instance.revival_requested", actor_kind="rule").count() == 1


@pytest.mark.django_db
def test_a_rehearsal_writes_nothing() -> None:
    instance = reclaimed_instance()
    events = instance.events.count()

    items = revive(now=NOW, dry_run=True)

    assert [(item.decision.start, item.started) for item in items] == [(True, False)]
    assert not Job.objects.exists()
    assert instance.events.count() == events


@pytest.mark.django_db
def test_one_that_somebody_stopped_is_never_revived() -> None:
    make_instance(status="exited", machine=RECLAIMED, wanted="stopped")

    assert [item.decision.code for item in revive(now=NOW, dry_run=False)] == ["not_wanted"]
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_an_open_job_keeps_the_rule_away() -> None:
    instance = reclaimed_instance()
    make_job(instance, verb="start")

    assert [item.decision.code for item in revive(now=NOW, dry_run=False)] == ["job_open"]
    assert Job.objects.count() == 1


@pytest.mark.django_db
def test_a_pause_holds_the_rule_and_the_command_says_so() -> None:
    reclaimed_instance(name="taken")
    pause_automation(until=NOW + timedelta(days=3650), reason="maintenance", actor=PERSON, now=NOW)
    out = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("migrate_spot_instances", "--json", stdout=out)

    assert ended.value.code == 2
    [item] = json.loads(out.getvalue())
    assert (item["name"], item["eligible"], item["code"]) == ("taken", False, "held")
    assert "maintenance" in item["reason"]


@pytest.mark.django_db
def test_unmanaged_and_on_demand_instances_are_not_considered() -> None:
    make_instance(status="exited", machine=RECLAIMED, managed=False)
    make_instance(status="exited", machine=RECLAIMED | {"billing_mode": "on_demand"}, wanted="running")

    assert revive(now=NOW, dry_run=False) == []


@pytest.mark.django_db
def test_the_sweep_runs_at_its_own_interval() -> None:
    reclaimed_instance()
    revive_if_due(NOW)
    Job.objects.all().delete()

    revive_if_due(NOW + timedelta(minutes=1))
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_the_sweep_can_be_switched_off(settings: Any) -> None:
    settings.MIGRATION_ENABLED = False
    reclaimed_instance()

    revive_if_due(NOW)

    assert not Job.objects.exists()

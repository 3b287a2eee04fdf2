"""Working hours over real rows: what passes stop after them, start in them, and leave alone."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from autostop.models import Evaluation, Policy
from autostop.notices import WARNING
from autostop.passes import run_pass
from autostop.results import Outcome, PassResult
from instances.events import SYSTEM, Actor
from instances.executor.outcomes import finish
from instances.executor.steps import Act, Step
from instances.models import Event, Instance, Job
from instances.operations import keep_until, pause_automation, request_stop
from tests.autostop.metrics_server import Load, MetricsServer
from tests.autostop.rows import MINUTE, NOW, running_instance

pytestmark = pytest.mark.django_db
PERSON = Actor(kind="user", name="ada")
HOUR = timedelta(hours=1)


def a_pass(provider: MetricsServer, now: datetime) -> PassResult:
    provider.now = now
    return run_pass(now=now, dry_run=False, actor=SYSTEM, trigger="schedule")


def outcomes(result: PassResult) -> dict[str, Outcome]:
    return {item.name: item.outcome for item in result.items}


def office(**columns: Any) -> Policy:
    """Stops at 20:00 and starts at 08:00 in Hong Kong, which is eight hours ahead."""
    return Policy.objects.create(
        **{
            "name": "office",
            "mode": "enforce",
            "created_at": NOW - HOUR,
            "changed_at": NOW - HOUR,
            "time_zone": "Asia/Hong_Kong",
            "schedule_mode": "keep_off_between",
            "schedule_start": "08:00",
            "schedule_stop": "20:00",
            **columns,
        },
    )


def test_working_hours_stop_what_runs_after_them_and_start_it_again(provider: MetricsServer) -> None:
    office()
    evening = NOW + 30 * MINUTE  # 20:30 in Hong Kong
    box = running_instance("box", auto_stop_policy="office", last_used_at=NOW)

    assert outcomes(a_pass(provider, evening)) == {"box": Outcome.STOPPED}
    assert "its working hours ended at 2026-01-05 12:00:00 UTC" in Job.objects.get().reason
    _shown_stopped(box)
    assert outcomes(a_pass(provider, NOW + 11 * HOUR)) == {"box": Outcome.KEPT}
    assert outcomes(a_pass(provider, NOW + 12 * HOUR)) == {"box": Outcome.STARTED}

    start = Job.objects.get(verb="start")
    assert (start.requested_by_kind, start.requested_by_name) == ("rule", "auto-stop")
    assert "its working hours began at 2026-01-06 00:00:00 UTC" in start.reason


def test_a_start_that_failed_is_tried_again_while_its_hours_last_and_on_later_days(provider: MetricsServer) -> None:
    office()
    box = running_instance("box", auto_stop_policy="office", last_used_at=NOW)
    a_pass(provider, NOW + 30 * MINUTE)
    _shown_stopped(box)
    morning, evening = NOW + 12 * HOUR, NOW + 24 * HOUR
    assert outcomes(a_pass(provider, morning)) == {"box": Outcome.STARTED}
    _start_fails(morning + 15 * MINUTE)

    tried = [outcomes(a_pass(provider, morning + minutes * MINUTE))["box"] for minutes in (20, 44, 45)]
    assert tried == [Outcome.KEPT, Outcome.KEPT, Outcome.STARTED]
    _start_fails(morning + HOUR)

    tried = [outcomes(a_pass(provider, at))["box"] for at in (evening, morning + 24 * HOUR)]
    assert tried == [Outcome.KEPT, Outcome.STARTED]


def test_who_is_told_to_stay_stopped_after_a_failed_start_does(provider: MetricsServer) -> None:
    office()
    box = running_instance("box", auto_stop_policy="office", last_used_at=NOW)
    a_pass(provider, NOW + 30 * MINUTE)
    _shown_stopped(box)
    a_pass(provider, NOW + 12 * HOUR)
    _start_fails(NOW + 12 * HOUR + 15 * MINUTE)

    request_stop(box.pk, actor=PERSON, reason="not today", now=NOW + 13 * HOUR)

    assert outcomes(a_pass(provider, NOW + 14 * HOUR)) == {"box": Outcome.KEPT}


def _start_fails(now: datetime) -> None:
    """As the executor ends a start that found no GPU for as long as it may wait."""
    start = Job.objects.get(verb="start", finished_at=None)
    finish(start, Step(act=Act.FAIL, code="no_capacity", reason="no GPU is free"), now=now)


def _shown_stopped(box: Instance) -> None:
    """As sync leaves it when Novita shows it stopped."""
    Job.objects.update(state="succeeded", finished_at=NOW)
    Instance.objects.filter(pk=box.pk).update(met_at=NOW)
    box.refresh_from_db()
    assert box.machine is not None
    type(box.machine).objects.update(status="exited", billed_since=None)


def test_who_was_stopped_by_hand_is_not_started_by_the_clock(provider: MetricsServer) -> None:
    office()
    box = running_instance("box", auto_stop_policy="office", wanted="stopped", wanted_by_kind="user", wanted_at=NOW)
    assert box.machine is not None
    type(box.machine).objects.update(status="exited", billed_since=None)

    assert outcomes(a_pass(provider, NOW + 12 * HOUR)) == {"box": Outcome.KEPT}
    assert not Job.objects.exists()


def test_once_at_leaves_what_was_started_afterwards_alone(provider: MetricsServer) -> None:
    office(schedule_mode="once_at")
    late = NOW + 30 * MINUTE
    running_instance("late", auto_stop_policy="office", ready=timedelta(0), at=late, wanted_at=late)

    assert outcomes(a_pass(provider, late + MINUTE)) == {"late": Outcome.KEPT}


@pytest.mark.parametrize("missed", ["kept", "paused", "protected"])
def test_a_night_off_that_was_missed_stops_nothing_in_the_hours_after_it(provider: MetricsServer, missed: str) -> None:
    office()
    box = running_instance("box", auto_stop_policy="office", protected=missed == "protected")
    provider.loads["novita-box"] = Load(gpus=(100.0,))
    night, ten, evening = NOW + HOUR, NOW + 14 * HOUR, NOW + 24 * HOUR
    if missed == "kept":
        keep_until(box.pk, ten, reason="a long training", actor=PERSON, now=NOW)
    if missed == "paused":
        pause_automation(until=ten, reason="maintenance", actor=PERSON, now=NOW)
    assert outcomes(a_pass(provider, night))["box"] in (Outcome.KEPT, Outcome.WOULD_STOP)
    Instance.objects.update(protected=False)

    assert outcomes(a_pass(provider, ten)) == {"box": Outcome.KEPT}
    assert Evaluation.objects.get(instance=box).hard_stop_at == evening
    assert outcomes(a_pass(provider, evening)) == {"box": Outcome.STOPPED}
    assert Event.objects.filter(type=WARNING).count() == 0  # no pass came near enough before that


def test_one_kept_into_its_hours_is_told_of_their_end_and_not_of_the_end_of_the_keep(provider: MetricsServer) -> None:
    office()
    morning = NOW + 12 * HOUR
    box = running_instance("box", auto_stop_policy="office")
    provider.loads["novita-box"] = Load(gpus=(100.0,))
    keep_until(box.pk, morning + 2 * MINUTE, reason="a demo", actor=PERSON, now=NOW)

    a_pass(provider, morning - 4 * MINUTE)
    assert Evaluation.objects.get(instance=box).hard_stop_at == morning + 12 * HOUR
    assert not Event.objects.filter(type=WARNING).exists()

    keep_until(box.pk, morning - MINUTE, reason="a demo", actor=PERSON, now=NOW)
    a_pass(provider, morning - 3 * MINUTE)
    assert Evaluation.objects.get(instance=box).hard_stop_at == morning - MINUTE
    assert Event.objects.get(type=WARNING).instance_id == box.pk


def test_a_policy_stops_nothing_at_a_time_that_passed_before_it_was_made_or_changed(provider: MetricsServer) -> None:
    late = NOW + 30 * MINUTE
    office(schedule_mode="once_at", changed_at=late)
    box = running_instance("box", auto_stop_policy="office")
    provider.loads["novita-box"] = Load(gpus=(100.0,))

    assert outcomes(a_pass(provider, late + MINUTE)) == {"box": Outcome.KEPT}
    assert Evaluation.objects.get(instance=box).hard_stop_at == NOW + 24 * HOUR
    assert outcomes(a_pass(provider, NOW + 24 * HOUR)) == {"box": Outcome.STOPPED}


def test_once_at_stops_later_what_was_held_at_its_time(provider: MetricsServer) -> None:
    office(schedule_mode="once_at")
    running_instance("box", auto_stop_policy="office")
    provider.loads["novita-box"] = Load(gpus=(100.0,))

    assert outcomes(a_pass(provider, NOW + 14 * HOUR)) == {"box": Outcome.STOPPED}

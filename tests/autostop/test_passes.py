"""Passes over real rows, with metrics from a provider on a socket."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from autostop.acts import stop_if_still_due
from autostop.facts import Scene
from autostop.models import Evaluation, PassRun, RecordedDecision
from autostop.passes import PassRunning, run_if_due, run_now, run_pass
from autostop.policies import read_policies
from autostop.results import Item, Outcome, PassResult
from instances.events import SYSTEM, Actor
from instances.models import Alarm, Event, Instance, Job, Machine, ProviderAccount
from instances.operations import change_settings, pause_automation, record_use, release
from instances.periodic import claim
from instances.rule_pace import act_limit
from tests.autostop.metrics_server import Load, MetricsServer
from tests.autostop.rows import MINUTE, NOW, running_instance

pytestmark = pytest.mark.django_db
PERSON = Actor(kind="user", name="ada")
IDLE_MACHINES = 30


def a_pass(provider: MetricsServer, now: datetime = NOW, *, dry_run: bool = False, trigger: str = "command") -> PassResult:
    """One that a person asked for, which does not warn first, unless the trigger says `schedule`."""
    provider.now = now
    return run_pass(now=now, dry_run=dry_run, actor=SYSTEM, trigger=trigger)


def the_item(result: PassResult, instance: Instance) -> Item:
    return next(item for item in result.items if item.instance_id == instance.pk)


def test_an_idle_instance_is_stopped_with_a_job_an_event_and_the_reason(provider: MetricsServer) -> None:
    idle = running_instance("idle")

    item = the_item(a_pass(provider), idle)

    assert item.outcome is Outcome.STOPPED
    job = Job.objects.get(instance=idle)
    assert (job.verb, job.requested_by_kind, job.requested_by_name) == ("stop", "rule", "auto-stop")
    assert item.job_id == job.pk
    assert "2 h since it became ready, threshold 20 min" in job.reason
    idle.refresh_from_db()
    assert idle.wanted == "stopped"
    assert idle.next_auto_stop_action is None
    assert RecordedDecision.objects.get(acted=True).job_id == job.pk
    assert Event.objects.filter(type="job.stop_requested", instance=idle, actor_kind="rule").exists()


def test_a_gpu_at_full_load_that_was_never_reported_used_is_not_stopped(provider: MetricsServer) -> None:
    busy = running_instance("busy")
    provider.loads["novita-busy"] = Load(gpus=(100.0,))

    item = the_item(a_pass(provider), busy)

    assert (item.outcome, item.decision.code) == (Outcome.KEPT, "gpu_active")
    assert not Job.objects.exists()
    busy.refresh_from_db()
    assert busy.next_auto_stop_action == {
        "what": "stop",
        "at": None,
        "why": "it is not used, but its GPU is busy: held",
    }


def test_cpu_work_alone_holds_an_instance(provider: MetricsServer) -> None:
    busy = running_instance("busy")
    provider.loads["novita-busy"] = Load(cpu_cores=0.5)

    assert the_item(a_pass(provider), busy).decision.code == "cpu_active"


@pytest.mark.parametrize(
    "load", [Load(empty=True), Load(status=500), Load(lag=1000), Load(gpus=(0.0,), status=400)], ids=str
)
def test_without_metrics_nothing_is_stopped_and_an_alarm_says_so_until_they_come(
    provider: MetricsServer, load: Load
) -> None:
    dark = running_instance("dark")
    provider.loads["novita-dark"] = load

    item = the_item(a_pass(provider), dark)

    assert (item.outcome, item.decision.code) == (Outcome.NOT_JUDGED, "no_data")
    assert not Job.objects.exists()
    alarm = Alarm.objects.get(kind="no_metrics", instance=dark)
    assert "running, paid, no data" in alarm.text

    provider.loads["novita-dark"] = Load(gpus=(80.0,))
    a_pass(provider, NOW + MINUTE)
    alarm.refresh_from_db()
    assert alarm.cleared_at == NOW + MINUTE


def test_one_that_never_became_ready_is_stopped_and_the_reason_tells_it(provider: MetricsServer) -> None:
    stuck = running_instance("stuck", ready=None)

    item = the_item(a_pass(provider), stuck)

    assert item.outcome is Outcome.STOPPED
    assert Job.objects.get().reason.startswith(
        "auto-stop: it never became ready: 1 h 50 min since its start-up deadline passed, threshold 20 min"
    )


def test_one_still_within_its_start_up_is_left_alone(provider: MetricsServer) -> None:
    young = running_instance("young", ready=None, boot_stage_since=NOW - 5 * MINUTE)

    item = the_item(a_pass(provider), young)

    assert item.decision.code == "starting"
    assert item.decision.next_at == NOW + 25 * MINUTE
    assert provider.asked == []


def test_thirty_idle_at_once_are_all_stopped_within_six_passes_longest_idle_first(provider: MetricsServer) -> None:
    order = [running_instance(f"idle-{n:02}", ready=timedelta(minutes=100 - n)).pk for n in range(IDLE_MACHINES)]
    stopped: list[Any] = []

    for number in range(6):
        result = a_pass(provider, NOW + number * 5 * MINUTE)
        now_stopped = [item for item in result.items if item.outcome is Outcome.STOPPED]
        assert len(now_stopped) <= max(5, -(-IDLE_MACHINES // 5))
        stopped += sorted((item.instance_id for item in now_stopped), key=order.index)
        left = [item for item in result.items if item.instance_id not in stopped]
        waiting = [item for item in left if item.outcome is Outcome.WAITS]
        assert all("waits for the next pass" in item.decision.reason for item in waiting)
        assert all("its turn comes" in item.decision.reason for item in left if item not in waiting)

    assert stopped == order
    assert Job.objects.filter(verb="stop").count() == IDLE_MACHINES


@pytest.mark.parametrize(("running", "limit"), [(0, 5), (25, 5), (26, 6), (30, 6), (1000, 200)])
def test_a_pass_stops_five_or_a_fifth(running: int, limit: int) -> None:
    assert act_limit(running) == limit


def test_busy_ones_unused_for_longest_do_not_keep_idle_ones_from_their_turn(provider: MetricsServer) -> None:
    for number in range(50):
        running_instance(f"busy-{number}", ready=timedelta(hours=2))
        provider.loads[f"novita-busy-{number}"] = Load(gpus=(90.0,))
    idle = running_instance("idle", ready=timedelta(hours=1))

    outcomes = [the_item(a_pass(provider, NOW + number * 5 * MINUTE), idle).outcome for number in range(3)]

    assert outcomes[-1] is Outcome.STOPPED


def test_only_candidates_are_looked_at_by_the_provider(provider: MetricsServer) -> None:
    running_instance("idle")
    running_instance("used", last_used_at=NOW - MINUTE)
    running_instance("protected", protected=True)
    running_instance("off", auto_stop_mode="off")
    running_instance("stopping", wanted="stopped")

    a_pass(provider)

    assert provider.asked == ["novita-idle"]


def test_observing_tells_once_and_stops_nothing(provider: MetricsServer) -> None:
    watched = running_instance("watched", auto_stop_mode="observe")

    first = the_item(a_pass(provider), watched)
    second = the_item(a_pass(provider, NOW + 5 * MINUTE), watched)

    assert first.outcome is second.outcome is Outcome.WOULD_STOP
    assert "only observed" in second.decision.reason
    assert not Job.objects.exists()
    assert Event.objects.filter(type="instance.auto_stop_observed", instance=watched).count() == 1
    assert RecordedDecision.objects.filter(instance=watched).count() == 1
    evaluation = Evaluation.objects.get(instance=watched)
    assert (evaluation.same_since, evaluation.decided_at) == (NOW, NOW + 5 * MINUTE)


def test_while_automation_is_paused_decisions_are_shown_and_nothing_is_stopped(provider: MetricsServer) -> None:
    idle = running_instance("idle")
    pause_automation(until=NOW + 60 * MINUTE, reason="maintenance", actor=PERSON, now=NOW)

    result = a_pass(provider)

    assert "paused until 2026-01-05 13:00:00 UTC (maintenance)" in the_item(result, idle).decision.reason
    assert not Job.objects.exists()
    assert the_item(a_pass(provider, NOW + 61 * MINUTE), idle).outcome is Outcome.STOPPED


def test_a_frozen_account_holds_every_stop(provider: MetricsServer) -> None:
    idle = running_instance("idle")
    ProviderAccount.objects.create(name="x", first_contact_at=NOW, frozen_since=NOW, frozen_reason="nothing known")

    item = the_item(a_pass(provider), idle)

    assert (item.decision.hold, item.outcome) == ("frozen", Outcome.WOULD_STOP)
    assert not Job.objects.exists()


@pytest.mark.parametrize("change", ["used", "protected", "off", "observe", "released", "paused", "deleted"])
def test_what_changed_between_the_decision_and_the_act_averts_the_act(provider: MetricsServer, change: str) -> None:
    idle = running_instance("idle")
    rehearsed = the_item(a_pass(provider, dry_run=True), idle).decision
    assert rehearsed.action == "stop"

    def settings(**values: Any) -> None:
        change_settings(idle.pk, values, actor=PERSON, reason="", now=NOW)

    changes: dict[str, Callable[[], object]] = {
        "used": lambda: record_use(idle.pk, at=NOW, actor=PERSON, now=NOW),
        "protected": lambda: settings(protected=True),
        "off": lambda: settings(auto_stop_mode="off"),
        "observe": lambda: settings(auto_stop_mode="observe"),
        "released": lambda: release(idle.pk, actor=PERSON, reason="", now=NOW),
        "paused": lambda: pause_automation(until=NOW + MINUTE, reason="", actor=PERSON, now=NOW),
        "deleted": lambda: Instance.objects.filter(pk=idle.pk).update(wanted="deleted"),
    }
    changes[change]()
    run = PassRun.objects.create(started_at=NOW, trigger="schedule")
    scene = Scene(now=NOW, policies=read_policies(NOW), read_now={idle.machine_id or 0: ""})
    act = stop_if_still_due(idle.pk, due=rehearsed, scene=scene, now=NOW, run=run)

    assert not act.done
    assert act.decision.action != "stop"
    assert not Job.objects.exists()


def test_a_rehearsal_changes_no_row_of_any_table(provider: MetricsServer) -> None:
    running_instance("idle")
    running_instance("watched", auto_stop_mode="observe")
    running_instance("dark")
    provider.loads["novita-dark"] = Load(empty=True)
    a_pass(provider, NOW - 60 * MINUTE)
    before = _all_rows()

    result = run_now(now=NOW, dry_run=True, actor=PERSON, trigger="api")

    assert _all_rows() == before
    assert result.run_id is None
    assert result.items


def test_a_rehearsal_says_what_the_pass_then_does(provider: MetricsServer) -> None:
    for number in range(8):
        running_instance(f"idle-{number}", ready=timedelta(minutes=60 + number))

    rehearsed, done = a_pass(provider, dry_run=True), a_pass(provider)

    promised = [item.instance_id for item in rehearsed.items if item.outcome is Outcome.WOULD_STOP]
    assert promised == [item.instance_id for item in done.items if item.outcome is Outcome.STOPPED]
    assert rehearsed.count(Outcome.WAITS) == done.count(Outcome.WAITS) == 3


def test_the_next_stop_is_shown_and_cleared_when_nothing_is_ahead(provider: MetricsServer) -> None:
    used = running_instance("used", last_used_at=NOW - 5 * MINUTE)

    a_pass(provider)
    used.refresh_from_db()
    assert used.next_auto_stop_action == {
        "what": "stop",
        "at": "2026-01-05T12:15:00Z",
        "why": "unless it is used or busy by then",
    }

    change_settings(used.pk, {"protected": True}, actor=PERSON, reason="", now=NOW)
    a_pass(provider, NOW + MINUTE)
    used.refresh_from_db()
    assert used.next_auto_stop_action is None


def test_the_number_of_queries_does_not_grow_with_the_fleet(provider: MetricsServer) -> None:
    def queries(now: datetime) -> int:
        with CaptureQueriesContext(connection) as captured:
            a_pass(provider, now)
        return len(captured)

    for number in range(3):
        running_instance(f"few-{number}", last_used_at=NOW)
    queries(NOW)
    few = queries(NOW + MINUTE)
    for number in range(40):
        running_instance(f"many-{number}", last_used_at=NOW)
    queries(NOW + 2 * MINUTE)
    many = queries(NOW + 3 * MINUTE)

    assert many == few
    assert few <= 18


def test_a_pass_leaves_a_row_with_its_counts(provider: MetricsServer) -> None:
    for number in range(7):
        running_instance(f"idle-{number}")

    a_pass(provider)

    run = PassRun.objects.get()
    assert (run.running, run.evaluated, run.metrics_read, run.act_limit) == (7, 7, 7, 5)
    assert (run.stopped, run.waiting, run.not_judged) == (5, 2, 0)


def test_the_timetable_runs_one_pass_per_interval_whoever_pokes(provider: MetricsServer) -> None:
    results = [run_if_due(NOW), run_if_due(NOW), run_if_due(NOW + 4 * MINUTE), run_if_due(NOW + 5 * MINUTE)]

    assert [result is not None for result in results] == [True, False, False, True]


def test_a_real_pass_beside_another_is_refused_and_a_rehearsal_is_not(provider: MetricsServer) -> None:
    assert claim("auto_stop", every=5 * MINUTE, lease=3 * MINUTE, now=NOW) is not None

    with pytest.raises(PassRunning):
        run_now(now=NOW, dry_run=False, actor=PERSON, trigger="api")
    assert run_now(now=NOW, dry_run=True, actor=PERSON, trigger="api").dry_run


def test_a_machine_that_exited_is_no_longer_judged_and_its_alarm_closes(provider: MetricsServer) -> None:
    dark = running_instance("dark")
    provider.loads["novita-dark"] = Load(empty=True)
    a_pass(provider)

    Machine.objects.filter(instance=dark).update(status="exited")
    item = the_item(a_pass(provider, NOW + MINUTE), dark)

    assert item.decision.code == "not_running"
    assert not Alarm.objects.filter(kind="no_metrics", cleared_at=None).exists()
    assert Evaluation.objects.get(instance=dark).code == "not_running"


def _all_rows() -> dict[str, list[dict[str, Any]]]:
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in apps.get_models()}

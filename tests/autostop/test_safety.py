"""What holds a pass, and the alarms that say so."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from autostop.models import PassRun, Policy
from autostop.passes import run_pass
from autostop.results import Outcome, PassResult
from autostop.safety import watch_evaluations_if_due
from instances.events import SYSTEM
from instances.models import Alarm, Job, ProviderAccount
from tests.autostop.metrics_server import Load, MetricsServer
from tests.autostop.rows import MINUTE, NOW, running_instance
from tests.factories import make_account

pytestmark = pytest.mark.django_db


def a_pass(provider: MetricsServer, now: datetime = NOW) -> PassResult:
    provider.now = now
    return run_pass(now=now, dry_run=False, actor=SYSTEM, trigger="command")


def is_open(kind: str) -> bool:
    return Alarm.objects.filter(kind=kind, cleared_at=None).exists()


def test_when_more_than_half_of_all_metrics_are_missing_nothing_is_stopped_for_idleness(provider: MetricsServer) -> None:
    for number in range(5):
        running_instance(f"box-{number}")
        provider.loads[f"novita-box-{number}"] = Load(status=500) if number < 3 else Load()
    running_instance("over", stop_at=NOW - MINUTE)

    held = a_pass(provider)

    assert {item.name: item.outcome for item in held.items if item.name in ("box-3", "box-4", "over")} == {
        "box-3": Outcome.WOULD_STOP,
        "box-4": Outcome.WOULD_STOP,
        "over": Outcome.STOPPED,
    }
    item = next(item for item in held.items if item.name == "box-4")
    assert item.decision.hold == "metrics"
    assert "metrics of 3 of 5 running instances are missing" in item.decision.reason
    assert is_open("metrics_missing")
    assert PassRun.objects.latest("id").hold == "metrics"

    provider.loads.clear()
    healed = a_pass(provider, NOW + MINUTE)

    assert healed.count(Outcome.STOPPED) == 5
    assert not is_open("metrics_missing")


def test_half_of_them_missing_is_the_instances_own_trouble(provider: MetricsServer) -> None:
    for number in range(4):
        running_instance(f"box-{number}")
        provider.loads[f"novita-box-{number}"] = Load(empty=number < 2)

    assert a_pass(provider).count(Outcome.STOPPED) == 2


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({"complete_list_at": NOW - 11 * MINUTE}, "the newest complete list of Novita is 11 min old"),
        (
            {"doubted_since": NOW, "doubt_reason": "3 of 6 are missing"},
            "is not believed since 2026-01-05 12:00:00 UTC (3 of 6 are missing)",
        ),
    ],
)
def test_a_list_that_cannot_be_believed_holds_every_stop_with_an_alarm(
    provider: MetricsServer, account: dict[str, Any], words: str
) -> None:
    make_account(now=NOW, **account)
    running_instance("box")
    running_instance("over", stop_at=NOW - MINUTE)

    result = a_pass(provider)

    assert result.count(Outcome.WOULD_STOP) == 2
    assert words in result.summary
    assert is_open("auto_stop_list")
    assert not Job.objects.exists()

    ProviderAccount.objects.update(complete_list_at=NOW, doubted_since=None, doubt_reason="")
    a_pass(provider, NOW + MINUTE)
    assert not is_open("auto_stop_list")


def test_decisions_that_have_grown_old_are_not_acted_on(provider: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was suspended between deciding and acting."""
    running_instance("box")
    clock = iter([0.0, *[700.0] * 20])
    monkeypatch.setattr("autostop.passes.time.monotonic", lambda: next(clock))

    result = a_pass(provider)

    (item,) = result.items
    assert (item.outcome, item.decision.hold) == (Outcome.WOULD_STOP, "stale")
    assert is_open("auto_stop_stale")
    assert not Job.objects.exists()


def test_a_policy_that_nobody_evaluated_for_two_intervals_is_alarmed_until_somebody_does(provider: MetricsServer) -> None:
    Policy.objects.create(name="labs", mode="observe", created_at=NOW, changed_at=NOW)
    running_instance("box", auto_stop_policy="labs", last_used_at=NOW)
    running_instance("other", last_used_at=NOW)
    a_pass(provider)

    assert watch_evaluations_if_due(NOW + 10 * MINUTE)
    assert not is_open("auto_stop_not_evaluated")
    assert not watch_evaluations_if_due(NOW + 10 * MINUTE), "another worker has just looked"

    watch_evaluations_if_due(NOW + 11 * MINUTE)
    late = Alarm.objects.filter(kind="auto_stop_not_evaluated", cleared_at=None)
    assert sorted(late.values_list("subject", flat=True)) == ["default", "labs"]

    a_pass(provider, NOW + 12 * MINUTE)
    watch_evaluations_if_due(NOW + 13 * MINUTE)
    assert not is_open("auto_stop_not_evaluated")


def test_a_pass_that_broke_off_evaluated_nobody(provider: MetricsServer) -> None:
    running_instance("box", last_used_at=NOW)
    a_pass(provider)
    PassRun.objects.create(started_at=NOW + 10 * MINUTE, trigger="schedule")

    watch_evaluations_if_due(NOW + 11 * MINUTE)

    assert is_open("auto_stop_not_evaluated")


def test_a_policy_without_running_instances_is_not_missed() -> None:
    Policy.objects.create(name="labs", mode="observe", created_at=NOW, changed_at=NOW)
    watch_evaluations_if_due(NOW + timedelta(days=1))
    assert not is_open("auto_stop_not_evaluated")


def test_a_measure_that_is_late_is_alarmed_only_after_the_stated_limit(provider: MetricsServer) -> None:
    running_instance("dark")
    provider.loads["novita-dark"] = Load(lag=240)

    first = a_pass(provider)
    assert first.items[0].decision.code == "no_data"
    assert not is_open("no_metrics")

    provider.loads["novita-dark"] = Load(empty=True)
    a_pass(provider, NOW + 5 * MINUTE)
    assert not is_open("no_metrics")
    a_pass(provider, NOW + 12 * MINUTE)
    assert is_open("no_metrics")
    assert not Job.objects.exists()

"""Rows that no code of ours writes: set aside with an alarm, never stopped, while all others are judged as ever."""

from typing import Any

import pytest
from django.db import connection

from autostop import passes
from autostop.acts import stop_if_still_due
from autostop.explain import auto_stop_json
from autostop.models import KeepLink, Policy
from autostop.notices import warn
from autostop.passes import run_pass
from autostop.results import Outcome, PassResult
from autostop.safety import watch_evaluations_if_due
from instances.events import SYSTEM
from instances.models import Alarm, Instance, Job, Machine, UtilisationWatch
from instances.utilisation import collector
from instances.utilisation.reads import question_of
from tests.autostop.metrics_server import MetricsServer
from tests.autostop.rows import MINUTE, NOW, running_instance

pytestmark = pytest.mark.django_db


def poison(table: str, column: str, value: str, *, name: str) -> None:
    with connection.cursor() as cursor:
        statement = f"UPDATE {table} SET {column} = %s WHERE name = %s"  # noqa: S608 - the names are of this file
        cursor.execute(statement, [value, name])
        assert cursor.rowcount == 1


def a_pass(*, dry_run: bool = False, trigger: str = "command", later: int = 0) -> PassResult:
    return run_pass(now=NOW + later * MINUTE, dry_run=dry_run, actor=SYSTEM, trigger=trigger)


def outcomes(result: PassResult) -> dict[str, tuple[str, str]]:
    return {item.name: (str(item.outcome), str(item.decision.code)) for item in result.items}


def alarmed(kind: str = "set_aside") -> list[str]:
    return list(Alarm.objects.filter(kind=kind, cleared_at=None).values_list("subject", flat=True))


POISONS = [("auto_stop_mode", "what"), ("labels", '"odd"')]


@pytest.mark.parametrize(("column", "value"), POISONS, ids=[column for column, _ in POISONS])
def test_one_instance_that_cannot_be_judged_keeps_no_other_from_being_stopped(
    provider: MetricsServer, column: str, value: str
) -> None:
    Policy.objects.create(name="night", labels={"team": "a"}, mode="canary", canary_count=1, created_at=NOW, changed_at=NOW)
    odd = running_instance("odd")
    running_instance("idle")
    poison("instances_instance", column, value, name="odd")

    result = a_pass()

    assert outcomes(result) == {"odd": ("not_judged", "set_aside"), "idle": ("stopped", "idle")}
    assert list(Job.objects.values_list("instance__name", flat=True)) == ["idle"]
    assert alarmed() == [f"auto-stop:{odd.pk}"]
    told = auto_stop_json(Instance.objects.get(pk=odd.pk), now=NOW)
    assert told is not None
    assert (told["action"], told["code"], told["idle_since"]) == ("keep", "set_aside", None)
    assert watch_evaluations_if_due(NOW)


def test_its_alarm_ends_once_it_is_mended_and_it_is_judged_like_any_other(provider: MetricsServer) -> None:
    running_instance("odd")
    poison("instances_instance", "auto_stop_mode", "what", name="odd")
    a_pass()
    assert "'what'" in Alarm.objects.get(kind="set_aside").text

    poison("instances_instance", "auto_stop_mode", "enforce", name="odd")
    provider.now = NOW + 5 * MINUTE

    assert outcomes(a_pass(later=5)) == {"odd": ("stopped", "idle")}
    assert alarmed() == []


def test_its_alarm_ends_with_the_instance(provider: MetricsServer) -> None:
    odd = running_instance("odd")
    poison("instances_instance", "auto_stop_mode", "what", name="odd")
    a_pass()

    Instance.objects.filter(pk=odd.pk).update(ended_at=NOW, next_auto_stop_action=None)
    a_pass(later=5)

    assert alarmed() == []


def test_a_rehearsal_says_so_and_raises_no_alarm(provider: MetricsServer) -> None:
    running_instance("odd")
    running_instance("idle")
    poison("instances_instance", "auto_stop_mode", "what", name="odd")

    result = a_pass(dry_run=True)

    assert outcomes(result) == {"odd": ("not_judged", "set_aside"), "idle": ("would_stop", "idle")}
    assert not Alarm.objects.exists()


BROKEN_POLICIES = [
    ("time_zone", "Nowhere/At-All"),
    ("schedule_mode", "sometimes"),
    ("holds", '{"moon": 3}'),
    ("labels", '["team"]'),
]


@pytest.mark.parametrize(("column", "value"), BROKEN_POLICIES, ids=[column for column, _ in BROKEN_POLICIES])
def test_a_policy_that_cannot_be_read_holds_those_that_follow_it_and_nobody_else(
    provider: MetricsServer, column: str, value: str
) -> None:
    Policy.objects.create(name="odd", mode="enforce", created_at=NOW, changed_at=NOW)
    running_instance("follower", auto_stop_policy="odd")
    running_instance("idle")
    poison("autostop_policy", column, value, name="odd")

    result = a_pass()

    assert outcomes(result) == {"follower": ("kept", "off"), "idle": ("stopped", "idle")}
    assert "policy odd cannot be read" in next(one.decision.reason for one in result.items if one.name == "follower")
    assert alarmed("auto_stop_policy_unreadable") == ["odd"]
    assert alarmed() == []

    Policy.objects.filter(name="odd").delete()
    a_pass(later=5)
    assert alarmed("auto_stop_policy_unreadable") == []


def failing_for(name: str, real: Any) -> Any:
    """The real thing, which breaks for one instance: what it may be cannot be foreseen."""

    def done(instance_id: Any, *given: Any, **named: Any) -> Any:
        if Instance.objects.get(pk=instance_id).name == name:
            raise ArithmeticError("odd")
        return real(instance_id, *given, **named)

    return done


def test_a_stop_that_breaks_keeps_no_other_from_its_stop(provider: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = running_instance("odd")
    running_instance("idle")
    monkeypatch.setattr(passes, "stop_if_still_due", failing_for("odd", stop_if_still_due))

    assert outcomes(a_pass()) == {"odd": ("not_judged", "set_aside"), "idle": ("stopped", "idle")}
    assert alarmed() == [f"auto-stop:{odd.pk}"]


def test_a_warning_that_breaks_keeps_no_other_from_its_warning_and_nobody_is_stopped_unwarned(
    provider: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = running_instance("odd")
    running_instance("idle")
    monkeypatch.setattr(passes, "warn", failing_for("odd", warn))

    first = a_pass(trigger="schedule")

    assert {item.name: item.outcome for item in first.items} == {"odd": Outcome.NOT_JUDGED, "idle": Outcome.WARNED}
    assert set(KeepLink.objects.values_list("instance__name", flat=True)) == {"idle"}
    assert alarmed() == [f"auto-stop:{odd.pk}"]
    provider.now = NOW + 6 * MINUTE
    assert outcomes(a_pass(trigger="schedule", later=6))["odd"][0] == "not_judged"
    assert list(Job.objects.values_list("instance__name", flat=True)) == ["idle"]


def test_one_machine_that_cannot_be_asked_about_keeps_no_other_from_its_metrics(
    provider: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, well = running_instance("odd"), running_instance("well")
    for instance in (odd, well):
        UtilisationWatch.objects.create(machine_id=instance.machine_id or 0, due_at=NOW)
    collector.collect_if_due(NOW - MINUTE)  # its sweep, so that both are watched

    def breaking(machine: Machine, **named: Any) -> Any:
        if machine.pk == odd.machine_id:
            raise ArithmeticError("odd")
        return question_of(machine, **named)

    monkeypatch.setattr(collector, "question_of", breaking)

    assert collector.collect_if_due(NOW, source=provider.client()) == 1
    assert alarmed() == [f"metrics:{odd.pk}"]

    monkeypatch.setattr(collector, "question_of", question_of)
    assert collector.collect_if_due(NOW + 2 * MINUTE, source=provider.client()) == 2
    assert alarmed() == []

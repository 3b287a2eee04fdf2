"""Machines beside the one in use: found, back after they were gone, or what a move ended as."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from instances.attempts import resolve_attempt
from instances.lifecycle import Observed
from instances.models import Alarm, Instance, Machine
from instances.novita.types import RemoteInstance
from instances.observation import observe, observe_missing, observe_not_found
from instances.readings import reading_of
from tests.factories import NOW, make_instance, make_job, make_machine
from tests.instances.reads import machine_of

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def events(instance: Instance, type_: str) -> int:
    return instance.events.filter(type=type_).count()


def alarms(kind: str) -> list[str]:
    return list(Alarm.objects.filter(kind=kind, cleared_at=None).values_list("subject", flat=True))


def former(instance: Instance, **columns: Any) -> Machine:
    """One that the instance has no more, proven gone."""
    values: dict[str, Any] = {"status": "running", "observed_at": NOW, "absent_at": NOW, "missing_since": NOW}
    return Machine.objects.create(instance=instance, novita_id="former", created_at=NOW, **values | columns)


def show_former(status: str, at: datetime) -> Machine:
    machine = Machine.objects.get(novita_id="former")
    observe(machine, reading_of(RemoteInstance(id="former", status=status)), began_at=at, now=at, account=None)
    return machine


def test_an_attempt_found_beside_a_living_machine_is_surplus_named_and_left_alone() -> None:
    instance = make_instance()
    attempt = Machine.objects.create(instance=instance, correlation_id="abcdefghijklmnop", created_at=NOW, called_at=NOW)
    current = machine_of(instance)

    resolve_attempt(attempt, "second-one", now=NOW + SECOND, how="found in a list")

    assert machine_of(instance) == current
    assert alarms("surplus_machine") == ["second-one"]
    assert not instance.jobs.exists()


def test_the_alarm_of_a_surplus_machine_ends_once_it_is_proven_gone() -> None:
    instance = make_instance()
    attempt = Machine.objects.create(instance=instance, correlation_id="abcdefghijklmnop", created_at=NOW, called_at=NOW)
    resolve_attempt(attempt, "second-one", now=NOW, how="found in a list")

    observe_missing([attempt.pk], list_began_at=NOW + SECOND)
    attempt.refresh_from_db()
    observe_not_found(attempt, began_at=NOW + 2 * SECOND, now=NOW + 2 * SECOND, account=None)

    assert alarms("surplus_machine") == []


@pytest.mark.parametrize("status", ["running", "exited"])
@pytest.mark.parametrize("columns", [{}, {"let_go_at": NOW}, {"surplus_since": NOW}])
def test_a_former_machine_that_was_proven_gone_and_is_back_is_surplus(columns: dict[str, Any], status: str) -> None:
    instance = make_instance()
    current = machine_of(instance)
    former(instance, **columns)

    back = show_former(status, NOW + SECOND)
    show_former(status, NOW + 2 * SECOND)

    assert (machine_of(instance), instance.jobs.exists()) == (current, False)
    assert alarms("surplus_machine") == ["former"]
    assert events(instance, "instance.surplus_found") == 1
    back.refresh_from_db()
    assert back.surplus_since is not None
    assert "is back" in Alarm.objects.get().text


@pytest.mark.parametrize("columns", [{"wanted": "deleted", "machine": {"absent_at": NOW}}, {"status": ""}])
def test_so_is_one_of_an_instance_that_has_ended_or_has_no_machine(columns: dict[str, Any]) -> None:
    former(make_instance(**columns))

    show_former("running", NOW + SECOND)

    assert alarms("surplus_machine") == ["former"]


def test_one_that_stays_gone_raises_nothing() -> None:
    former(make_instance())

    show_former("removed", NOW + SECOND)

    assert alarms("surplus_machine") == []


@pytest.mark.parametrize("role", ["machine", "old"])
@pytest.mark.parametrize(("state", "told"), [("confirming", []), ("succeeded", ["former"])])
def test_one_that_an_open_replacement_has_in_hand_raises_nothing(role: str, state: str, told: list[str]) -> None:
    instance = make_instance()
    machine = former(instance)
    make_job(instance, verb="replace", state=state, arguments={role: machine.pk})

    show_former("running", NOW + SECOND)

    assert alarms("surplus_machine") == told


def test_a_former_machine_that_is_back_is_not_what_a_later_move_ended_as() -> None:
    instance = make_instance(status="migrating")
    current = machine_of(instance)
    former(instance)
    make_job(instance, verb="migrate", state="confirming", called_at=NOW + SECOND, call_ended_at=NOW + SECOND)

    for number in (2, 3):
        show_former("running", NOW + number * SECOND)

    assert machine_of(instance) == current
    assert alarms("surplus_machine") == ["former"]


@pytest.mark.parametrize(("found_at", "taken_over"), [(NOW - SECOND, False), (NOW + SECOND, True)])
def test_only_a_machine_found_after_a_move_was_sent_is_what_it_ended_as(found_at: datetime, taken_over: bool) -> None:
    instance = make_instance(status="migrating")
    first = machine_of(instance)
    make_job(instance, verb="migrate", state="confirming", called_at=NOW, call_ended_at=NOW)
    second = Machine.objects.create(instance=instance, novita_id="second", created_at=found_at, surplus_since=found_at)

    reading = reading_of(RemoteInstance(id="second", status="running", billing_mode="spot"))
    observe(second, reading, began_at=NOW + 2 * SECOND, now=NOW + 2 * SECOND, account=None)

    assert machine_of(instance) == (second if taken_over else first)
    assert alarms("surplus_machine") == ([first.novita_id] if taken_over else [])
    second.refresh_from_db()
    assert (second.surplus_since is None) == taken_over


def test_a_former_machine_changes_its_own_row_only() -> None:
    instance = make_instance()
    former = machine_of(instance)
    make_machine(instance)
    instance.refresh_from_db()
    remote = RemoteInstance(id=former.novita_id or "", status="exited")

    observe(former, reading_of(remote), began_at=NOW + SECOND, now=NOW + SECOND, account=None)

    instance.refresh_from_db()
    former.refresh_from_db()
    assert (instance.phase, instance.observed, former.status) == ("ready", Observed.RUNNING, "exited")

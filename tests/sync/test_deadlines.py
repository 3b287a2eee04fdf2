"""Deadlines of starting up: loud, priced, healing, and stopping only what asked for it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from instances.models import Instance, Job
from instances.operations import pause_automation, resume_automation
from sync.deadlines import limit_of, mark_overdue
from tests.driving import Drive, driving
from tests.factories import NOW, PERSON, make_instance

pytestmark = pytest.mark.django_db
PULL = timedelta(minutes=30)
START = timedelta(minutes=10)
SECOND = timedelta(seconds=1)


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, speed=5) as one:
        yield one


def booting(status: str, **columns: Any) -> Instance:
    return make_instance(status=status, met_at=None, ready_at=None, health_state="checking", **columns)


def overdue_events(instance: Instance) -> int:
    return instance.events.filter(type="instance.startup_overdue").count()


@pytest.mark.parametrize(
    ("status", "limit", "billed"),
    [("creating", START, False), ("pulling", PULL, True), ("starting", START, True), ("running", START, True)],
)
def test_each_stage_has_its_own_deadline_and_says_what_it_still_costs(
    status: str, limit: timedelta, *, billed: bool
) -> None:
    instance = booting(status)

    mark_overdue(NOW + limit - SECOND)
    instance.refresh_from_db()
    assert (instance.phase == "failed", overdue_events(instance)) == (False, 0)

    mark_overdue(NOW + limit)
    mark_overdue(NOW + limit + SECOND)
    instance.refresh_from_db()
    assert (instance.phase, overdue_events(instance)) == ("failed", 1)
    assert ("still billed at $0.35 per hour" in instance.phase_reason) is billed
    assert not Job.objects.exists()


def test_the_limits_come_from_the_settings(settings: Any) -> None:
    settings.INSTANCE_PULL_TIMEOUT, settings.INSTANCE_STARTUP_TIMEOUT = timedelta(minutes=3), timedelta(minutes=2)

    assert [limit_of(stage) for stage in ("creating", "pulling", "starting")] == [
        timedelta(minutes=2),
        timedelta(minutes=3),
        timedelta(minutes=2),
    ]


@pytest.mark.parametrize(
    "columns", [{"managed": False}, {"wanted": "stopped"}, {"wanted": "deleted"}], ids=["unmanaged", "stopped", "deleted"]
)
def test_what_is_not_to_come_up_has_no_deadline(columns: dict[str, Any]) -> None:
    instance = booting("pulling", **columns)

    mark_overdue(NOW + 10 * PULL)

    assert overdue_events(instance) == 0


def test_it_is_stopped_only_where_the_request_said_so() -> None:
    alarmed = booting("running")
    stopped = booting("running", on_startup_timeout="stop")
    booting("running", on_startup_timeout="stop", protected=True)

    mark_overdue(NOW + START)
    mark_overdue(NOW + START + SECOND)

    [job] = Job.objects.all()
    assert (job.instance_id, job.verb, job.requested_by_kind) == (stopped.pk, "stop", "rule")
    alarmed.refresh_from_db()
    assert alarmed.wanted == "running"


def test_a_pause_of_automation_holds_the_stop_and_its_end_makes_it_good() -> None:
    booting("running", on_startup_timeout="stop")
    pause_automation(until=NOW + PULL, reason="a test", actor=PERSON, now=NOW)

    mark_overdue(NOW + START)
    assert not Job.objects.exists()

    resume_automation(actor=PERSON, now=NOW + START)
    mark_overdue(NOW + START + SECOND)
    assert Job.objects.count() == 1


def test_a_pull_that_never_ends_is_loud_and_heals_when_it_is_stopped_waiting_for(drive: Drive, settings: Any) -> None:
    settings.INSTANCE_PULL_TIMEOUT = timedelta(minutes=2)
    drive.faults({"call": "create", "kind": "never_pulls"})
    instance = drive.create()

    drive.until_phase(instance, "failed", step=5)
    [alarm] = drive.alarms("startup_overdue")

    assert "pulling has taken longer than 120 s" in instance.phase_reason
    assert "still billed at $" in alarm.text
    assert drive.count("stop") == drive.count("delete") == 0
    drive.novita.command("delete", drive.living()[0]["id"])
    drive.until_phase(instance, "gone", step=5)
    drive.step()
    assert drive.alarms("startup_overdue") == []

"""Deadlines of starting up: loud, priced, healing, and stopping only what asked for it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from instances import operations
from instances.models import Instance, Job
from instances.operations import pause_automation, resume_automation
from sync.deadlines import RULE, limit_of, mark_overdue
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


def keep(instance: Instance, until: datetime) -> None:
    operations.keep_until(instance.pk, until, reason="a debugger is attached", actor=PERSON, now=NOW)


def test_what_a_person_keeps_is_not_stopped_before_the_keep_ends() -> None:
    instance = booting("running", on_startup_timeout="stop")
    keep(instance, NOW + 2 * START)

    mark_overdue(NOW + START)
    mark_overdue(NOW + 2 * START - SECOND)
    assert not Job.objects.exists()

    mark_overdue(NOW + 2 * START)
    assert Job.objects.get().verb == "stop"


def test_what_is_kept_before_the_stop_is_sent_is_not_stopped(drive: Drive) -> None:
    instance = drive.ready()
    operations.request_stop(instance.pk, actor=RULE, reason="starting has taken long", now=drive.now)
    keep(instance, drive.now + START)

    drive.until_idle(step=5)

    instance.refresh_from_db()
    assert (drive.count("stop"), Job.objects.get(verb="stop").state) == (0, "cancelled")
    assert (instance.wanted, instance.phase) == ("running", "ready")


def test_many_are_stopped_at_the_pace_of_rules_the_longest_overdue_first() -> None:
    fleet = [booting("running", on_startup_timeout="stop", now=NOW - number * SECOND) for number in range(12)]
    longest_first = [one.pk for one in reversed(fleet)]

    def stopped() -> list[UUID]:
        return list(Job.objects.filter(verb="stop").order_by("created_at", "pk").values_list("instance_id", flat=True))

    mark_overdue(NOW + START)
    assert set(stopped()) == set(longest_first[:5])
    mark_overdue(NOW + START + 59 * SECOND)
    assert len(stopped()) == 5
    waits = Instance.objects.get(pk=longest_first[5]).next_action or {}
    assert waits["why"] == "it takes longer to start than allowed; it waits for its turn: at most 5 are stopped a minute"

    mark_overdue(NOW + START + 60 * SECOND)
    assert set(stopped()[5:]) == set(longest_first[5:10])
    mark_overdue(NOW + START + 120 * SECOND)
    assert set(stopped()) == set(longest_first)
    assert not Instance.objects.filter(next_sync_action__isnull=False).exists()


def test_what_waits_for_its_turn_and_comes_up_says_so_no_longer() -> None:
    fleet = [booting("running", on_startup_timeout="stop") for _ in range(6)]
    mark_overdue(NOW + START)
    [waiting] = [one for one in fleet if not one.jobs.exists()]

    Instance.objects.filter(pk=waiting.pk).update(overdue="", boot_stage="")
    mark_overdue(NOW + START + SECOND)

    waiting.refresh_from_db()
    assert (waiting.next_action, waiting.wanted) == (None, "running")


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

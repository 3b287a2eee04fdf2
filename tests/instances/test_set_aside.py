"""Rows that cannot be worked on: set aside with an alarm, the rest goes on, and nothing is lost once they are mended."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection

from instances import health_checks, set_aside
from instances.encryption import UnreadableSecretError
from instances.executor import outcomes, run
from instances.executor.claims import due_jobs
from instances.lifecycle import HealthState
from instances.models import Alarm, Instance, Machine
from instances.operations import request_delete, request_stop
from tests.driving import Drive, driving
from tests.factories import NOW, PERSON, make_instance
from tests.instances.api.calls import Caller

BROKEN = "not-a-token"


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, speed=5) as one:
        yield one


@pytest.fixture
def in_thread(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> Drive:
    """Jobs are carried out as the lane's threads do it, errors included, one after the other."""

    def do_jobs(one: Drive) -> None:
        for job_id in due_jobs(one.now, run.BATCH):
            run.carry_out_or_set_aside(job_id)

    monkeypatch.setattr(Drive, "do_jobs", do_jobs)
    return drive


def break_secret(table: str, column: str, key: UUID | int | None) -> None:
    with connection.cursor() as cursor:
        statement = f"UPDATE {table} SET {column} = %s WHERE id = %s"  # noqa: S608 - the names are of this file
        cursor.execute(statement, [BROKEN, key.hex if isinstance(key, UUID) else key])


def break_environment(instance: Instance) -> None:
    break_secret("instances_instance", "envs", instance.pk)


def break_connection(instance: Instance) -> None:
    break_secret("instances_machine", "connection", instance.machine_id)


def test_a_create_whose_environment_cannot_be_read_waits_and_the_others_are_made(in_thread: Drive) -> None:
    broken = in_thread.create("broken", envs=({"key": "A", "value": "1"},))
    good = in_thread.create("good")
    with connection.cursor() as cursor:
        cursor.execute("SELECT envs FROM instances_instance WHERE id = %s", [broken.pk.hex])
        [sealed] = cursor.fetchone()
    break_environment(broken)

    in_thread.until_phase(good, "ready")

    job = in_thread.job(broken)
    assert (job.is_open, job.attempts, job.error_code) == (True, 0, "set_aside")
    assert in_thread.living("broken") == []
    [alarm] = in_thread.alarms("set_aside")
    assert "create of broken" in alarm.text
    assert "FIELD_ENCRYPTION_KEYS" in alarm.text

    with connection.cursor() as cursor:
        cursor.execute("UPDATE instances_instance SET envs = %s WHERE id = %s", [sealed, broken.pk.hex])
    in_thread.until_phase(broken, "ready", seconds=1200, step=5)
    assert len(in_thread.living("broken")) == 1
    assert in_thread.alarms("set_aside") == []


def test_a_job_that_fails_here_is_tried_ever_more_slowly(in_thread: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = in_thread.create("broken", envs=({"key": "A", "value": "1"},))
    break_environment(broken)
    tried: list[datetime] = []
    real = outcomes.set_job_aside

    def noted(job_id: UUID, error: Exception, *, now: datetime) -> None:
        tried.append(now)
        real(job_id, error, now=now)

    monkeypatch.setattr(outcomes, "set_job_aside", noted)

    in_thread.let_pass(90 * 60, step=60)

    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(tried)]
    assert 55 < gaps[0] < 130
    assert gaps[-1] <= 15 * 60 + 60
    assert gaps[-1] > 5 * gaps[0]
    assert len(tried) < 30


def test_what_cannot_be_decrypted_is_stopped_and_deleted_like_any_other(in_thread: Drive) -> None:
    """A lost key must not keep a bill running."""
    instance = in_thread.ready("box", envs=({"key": "A", "value": "1"},))
    break_environment(instance)
    break_connection(instance)

    request_stop(instance.pk, actor=PERSON, reason="enough", now=in_thread.now)
    in_thread.until_phase(instance, "stopped")
    request_delete(instance.pk, actor=PERSON, reason="enough", now=in_thread.now)
    in_thread.until_phase(instance, "deleted")

    assert in_thread.living("box") == []
    assert in_thread.alarms("set_aside") == []


@pytest.mark.django_db
def test_saving_a_row_keeps_what_it_cannot_decrypt() -> None:
    instance = make_instance(name="box", envs=[{"key": "A", "value": "1"}])
    break_environment(instance)

    found = Instance.objects.get(pk=instance.pk)
    found.owner = "somebody"
    found.save()

    with connection.cursor() as cursor:
        cursor.execute("SELECT envs, owner FROM instances_instance WHERE id = %s", [instance.pk.hex])
        assert cursor.fetchone() == (BROKEN, "somebody")
    with pytest.raises(UnreadableSecretError, match="FIELD_ENCRYPTION_KEYS"):
        found.envs  # noqa: B018 - looking is what raises


@pytest.mark.django_db
def test_the_api_says_which_key_is_missing() -> None:
    instance = make_instance(name="box", envs=[{"key": "A", "value": "1"}])
    break_environment(instance)

    answer = Caller("read", "secrets").get("/instances/box/connection")

    assert (answer.status_code, answer.json()["code"]) == (503, "secret_unreadable")
    assert "FIELD_ENCRYPTION_KEYS" in answer.json()["detail"]
    assert Caller("read").get("/instances/box").status_code == 200


@pytest.mark.django_db
def test_one_instance_that_cannot_be_checked_keeps_no_other_from_its_check() -> None:
    due: dict[str, Any] = {"health_due_at": NOW, "health_state": HealthState.CHECKING}
    good, broken = make_instance(name="good", **due), make_instance(name="broken", **due)
    endpoint = {"port": 80, "type": "http", "url": "http://127.0.0.1:1"}
    Machine.objects.filter(current_of=good).update(endpoints=[endpoint])
    Machine.objects.filter(current_of=broken).update(endpoints=[3])

    claimed = health_checks.claim_due(NOW, room=10)

    assert [one.instance_id for one, _ in claimed] == [good.pk]
    assert list(Alarm.objects.filter(cleared_at=None).values_list("kind", "instance__name")) == [("set_aside", "broken")]

    Machine.objects.filter(current_of=broken).update(endpoints=[endpoint])
    assert [one.instance_id for one, _ in health_checks.claim_due(NOW, room=10)] == [broken.pk]
    assert not Alarm.objects.filter(cleared_at=None).exists()


@pytest.mark.django_db
def test_a_database_that_is_away_is_nobodys_fault() -> None:
    aside = set_aside.SetAside("work", now=NOW)

    with pytest.raises(OperationalError), aside.around(make_instance(name="box")):
        raise OperationalError("server closed the connection")

    assert not Alarm.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(("age", "expected"), [(0, 60), (30, 60), (300, 300), (86_400, 900)])
def test_it_is_left_alone_as_long_as_it_has_been_failing(age: int, expected: int) -> None:
    set_aside.tell("job:1", "create of box", ValueError("odd"), instance=None, now=NOW)

    assert set_aside.gap("job:1", now=NOW + timedelta(seconds=age)) == timedelta(seconds=expected)

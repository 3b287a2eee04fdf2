"""Uses that are reported by many at once: each is stored before it is confirmed, many of them by one commit."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from instances.models import Event, Instance
from instances.operations import Unmanaged, WrongPhase, record_use
from instances.operations import use as uses
from tests.factories import NOW, PERSON, make_instance

pytestmark = pytest.mark.django_db(transaction=True)


def in_threads(*acts: Callable[[], object]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)


def test_what_waits_together_is_stored_together_and_the_newest_wins() -> None:
    instances = [make_instance(ready_at=None) for _ in range(3)]
    reports = [
        uses._Report(instance_id=one.pk, at=NOW + timedelta(seconds=number), actor=PERSON, now=NOW)
        for one in instances
        for number in (2, 5, 1)
    ]

    with CaptureQueriesContext(connection) as queries:
        uses._store_all(reports)

    assert sum(query["sql"].startswith("UPDATE") for query in queries) == len(instances)
    assert {report.done for report in reports} == {True}
    newest = NOW + timedelta(seconds=5)
    assert set(Instance.objects.values_list("last_used_at", flat=True)) == {newest}
    assert {report.outcome.last_used_at for report in reports if isinstance(report.outcome, uses.Used)} == {newest}


def test_many_at_once_lose_nothing_and_tell_the_first_once() -> None:
    instances = [make_instance() for _ in range(4)]
    failures: list[BaseException] = []

    def report(instance: Instance, number: int) -> None:
        try:
            at = NOW + timedelta(seconds=number)
            assert record_use(instance.pk, at=at, actor=PERSON, now=at).last_used_at >= at
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)
        finally:
            connection.close()

    in_threads(*(lambda one=one, number=number: report(one, number) for one in instances for number in range(1, 9)))

    assert failures == []
    assert set(Instance.objects.values_list("last_used_at", flat=True)) == {NOW + timedelta(seconds=8)}
    assert Event.objects.filter(type="instance.first_used").count() == len(instances)


def test_who_waits_with_one_that_is_refused_is_stored_all_the_same() -> None:
    good, foreign, gone = make_instance(), make_instance(managed=False), make_instance(machine={"absent_at": NOW})
    at = NOW + timedelta(seconds=1)
    reports = [uses._Report(instance_id=one.pk, at=at, actor=PERSON, now=at) for one in (foreign, gone, good)]

    uses._store_all(reports)

    assert [type(report.outcome) for report in reports] == [Unmanaged, WrongPhase, uses.Used]
    good.refresh_from_db()
    assert good.last_used_at == at


def test_a_use_in_a_transaction_that_is_taken_back_is_taken_back_with_it() -> None:
    instance = make_instance()

    with transaction.atomic():
        record_use(instance.pk, at=NOW + timedelta(seconds=1), actor=PERSON, now=NOW)
        transaction.set_rollback(True)

    instance.refresh_from_db()
    assert instance.last_used_at is None


def test_a_use_that_tells_nothing_and_waits_with_nobody_is_one_statement() -> None:
    instance = make_instance()
    for second in (1, 2):  # the first is told, the second finds that it was
        record_use(instance.pk, at=NOW + timedelta(seconds=second), actor=PERSON, now=NOW)

    with CaptureQueriesContext(connection) as queries:
        used = record_use(instance.pk, at=NOW + timedelta(seconds=3), actor=PERSON, now=NOW)

    assert [query["sql"].split()[0] for query in queries] == ["UPDATE"]
    stored: list[datetime | None] = []

    def read_elsewhere() -> None:
        stored.extend(Instance.objects.values_list("last_used_at", flat=True))
        connection.close()

    in_threads(read_elsewhere)
    assert stored == [used.last_used_at] == [NOW + timedelta(seconds=3)]


def test_the_first_use_after_it_became_ready_anew_is_told_again() -> None:
    instance = make_instance()
    for second in (1, 2, 3):
        record_use(instance.pk, at=NOW + timedelta(seconds=second), actor=PERSON, now=NOW + timedelta(seconds=second))
    Instance.objects.update(ready_at=NOW + timedelta(seconds=10))

    for second in (11, 12, 13):
        record_use(instance.pk, at=NOW + timedelta(seconds=second), actor=PERSON, now=NOW + timedelta(seconds=second))

    told = Event.objects.filter(type="instance.first_used").order_by("at").values_list("at", flat=True)
    assert list(told) == [NOW + timedelta(seconds=1), NOW + timedelta(seconds=11)]


def test_of_what_does_not_exist_no_use_is_taken() -> None:
    instance = make_instance()
    unknown = instance.pk
    Instance.objects.all().update(machine=None)
    instance.machines.all().delete()
    Event.objects.all().delete()
    instance.delete()

    with pytest.raises(Instance.DoesNotExist):
        record_use(unknown, at=NOW, actor=PERSON, now=NOW)

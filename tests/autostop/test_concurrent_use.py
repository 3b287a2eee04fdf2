"""Use that is reported while passes stop and sync observes: none is lost, none goes back, none comes too late."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from autostop import acts
from autostop.models import Heartbeat
from autostop.passes import run_pass
from autostop.results import Outcome
from instances.events import SYSTEM, Actor
from instances.models import Instance, Job, Machine
from instances.operations import change_settings, record_use, use
from tests.autostop.metrics_server import MetricsServer
from tests.autostop.rows import measured, running_instance
from tests.processes.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
CLIENT = Actor(kind="key", name="client")
HOW_MANY = 100 if settings.SQLITE else 1000
BOXES = HOW_MANY // 5
on_a_shared_database = pytest.mark.skipif(
    "config.getoption('--database') == 'sqlite'",
    reason="a database in memory has one connection; tests/processes/test_on_databases.py runs them on others",
)
THREADS = 16


@pytest.fixture
def beside(provider: MetricsServer) -> Iterator[Callable[[], int]]:
    """Passes and writes of other columns that go on until it is called, which tells how many there were."""
    over, done, failed = threading.Event(), [0], list[BaseException]()

    def work() -> None:
        try:
            while not over.is_set():
                now = timezone.now()
                provider.now = now
                run_pass(now=now, dry_run=False, actor=SYSTEM, trigger="schedule")
                for instance in Instance.objects.exclude(machine=None)[:20]:  # the test is still making others
                    with transaction.atomic():
                        machine = Machine.objects.select_for_update().get(instance=instance)
                        machine.observed_at = now
                        machine.save(update_fields=["observed_at"])
                    change_settings(instance.pk, {"owner": f"team-{done[0]}"}, actor=CLIENT, reason="", now=now)
                done[0] += 1
        except BaseException as error:  # noqa: BLE001 - told by the thread of the test
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()

    def end() -> int:
        over.set()
        thread.join(120)
        assert not thread.is_alive()
        if failed:
            raise failed.pop()
        return done[0]

    yield end
    end()


def report(calls: list[tuple[object, timedelta]], began: object) -> None:
    def all_of(mine: list[tuple[object, timedelta]]) -> None:
        try:
            for instance_id, offset in mine:
                record_use(instance_id, at=began + offset, actor=CLIENT, now=timezone.now())  # type: ignore[arg-type,operator]
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        list(pool.map(all_of, [calls[number::THREADS] for number in range(THREADS)]))


@on_a_shared_database
def test_of_many_reports_on_one_instance_the_latest_is_what_stays(beside: Callable[[], int]) -> None:
    box = running_instance("box", at=timezone.now())
    began = timezone.now() - timedelta(seconds=10)
    offsets = [timedelta(milliseconds=(number * 7919) % HOW_MANY) for number in range(HOW_MANY)]

    report([(box.pk, offset) for offset in offsets], began)
    passes = beside()

    box.refresh_from_db()
    assert box.last_used_at == began + max(offsets)
    assert passes > 0
    assert not Job.objects.exists()


@on_a_shared_database
def test_reports_on_many_instances_are_all_kept(beside: Callable[[], int]) -> None:
    now = timezone.now()
    boxes = [running_instance(f"box-{number}", at=now, last_used_at=now - timedelta(minutes=1)) for number in range(BOXES)]
    began = timezone.now()

    report([(boxes[number % BOXES].pk, timedelta(milliseconds=number)) for number in range(HOW_MANY)], began)
    passes = beside()

    kept = dict(Instance.objects.values_list("id", "last_used_at"))
    last = range(HOW_MANY - BOXES, HOW_MANY)
    assert [kept[box.pk] for box in boxes] == [began + timedelta(milliseconds=number) for number in last]
    assert passes > 0
    assert not Job.objects.exists()


@on_a_shared_database
def test_reports_that_come_while_one_is_stored_are_stored_together(monkeypatch: pytest.MonkeyPatch) -> None:
    began = timezone.now() - timedelta(seconds=10)
    box = running_instance("box", at=began)
    sizes: list[int] = []
    store = use._store_all

    def noted(batch: list[Any]) -> None:
        sizes.append(len(batch))
        store(batch)

    monkeypatch.setattr(use, "_store_all", noted)
    with use._storing:
        thread = threading.Thread(target=report, args=([(box.pk, timedelta(seconds=number)) for number in range(5)], began))
        thread.start()
        wait_for(lambda: len(use._waiting) == 5, what="all of them wait")
    thread.join(30)

    box.refresh_from_db()
    assert (sizes, box.last_used_at) == ([5], began + timedelta(seconds=4))


def test_one_that_is_used_right_before_the_claim_is_not_stopped(
    provider: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The use is committed after the pass has decided to stop it and before the stop is written."""
    now = timezone.now()
    provider.now = now
    box = running_instance("box", at=now)
    locked = acts.locked

    def used_first(instance_id: object) -> Instance:
        record_use(box.pk, at=now, actor=CLIENT, now=now)
        return locked(instance_id)  # type: ignore[arg-type]

    monkeypatch.setattr(acts, "locked", used_first)

    result = run_pass(now=now, dry_run=False, actor=SYSTEM, trigger="command")

    assert result.items[0].outcome is Outcome.KEPT
    assert result.items[0].decision.code == "threshold_not_reached"
    assert not Job.objects.exists()


@pytest.mark.parametrize("signal", ["gpu", "heartbeat", "protected", "kept"])
def test_whatever_holds_it_right_before_the_claim_averts_the_stop(
    provider: MetricsServer, monkeypatch: pytest.MonkeyPatch, signal: str
) -> None:
    now = timezone.now()
    provider.now = now
    box = running_instance("box", at=now)
    locked = acts.locked

    def held_first(instance_id: object) -> Instance:
        if signal == "gpu":
            measured(box, at=now, gpu=80.0)
        elif signal == "heartbeat":
            Heartbeat.objects.update_or_create(instance=box, defaults={"issued_at": now, "beaten_at": now, "active_at": now})
        elif signal == "protected":
            Instance.objects.filter(pk=box.pk).update(protected=True)
        else:
            Instance.objects.filter(pk=box.pk).update(keep_until=now + timedelta(hours=1))
        return locked(instance_id)  # type: ignore[arg-type]

    monkeypatch.setattr(acts, "locked", held_first)

    result = run_pass(now=now, dry_run=False, actor=SYSTEM, trigger="command")

    assert result.items[0].outcome is Outcome.KEPT
    assert not Job.objects.exists()

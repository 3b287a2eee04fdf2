"""Claims, results and what they do to an instance, with rows and real sockets."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import F

from instances import health_checks
from instances.health_checks import (
    LEASE,
    Checked,
    await_endpoints,
    begin_checks,
    check_due,
    claim_due,
    end_checks,
    store_finished,
)
from instances.models import Event, Instance, Machine
from instances.phases import refresh_phase
from instances.probes import Finished, ProbePool, Result
from tests.instances.novita.fault_server import answer, fault_server, hang, refused_url

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
WELL = (Result(port=80, ok=True, detail="answers HTTP 200"),)
DEAD = (Result(port=80, ok=False, detail="Connection refused"),)


def running(*urls: str, **changes: Any) -> Instance:
    """A managed instance that runs since `NOW`, with an http endpoint per url."""
    name = f"one-{Instance.objects.count()}"
    facts: dict[str, Any] = {"name": name, "wanted": "running", "wanted_at": NOW, "met_at": NOW, "created_at": NOW}
    instance = Instance.objects.create(**{**facts, **changes})
    endpoints = [{"port": 80 + place, "type": "http", "url": url} for place, url in enumerate(urls)]
    instance.machine = Machine.objects.create(
        instance=instance,
        novita_id=f"n-{name}",
        created_at=NOW,
        status="running",
        running_since=NOW,
        endpoints=endpoints,
        ports=[{"port": one["port"], "type": "http"} for one in endpoints],
    )
    instance.save(update_fields=["machine"])
    return instance


def begun(*urls: str, **changes: Any) -> Instance:
    instance = running(*urls, **changes)
    assert instance.machine is not None
    begin_checks(instance, instance.machine, now=NOW)
    refresh_phase(instance, now=NOW)
    return Instance.objects.get(pk=instance.pk)


def state_of(instance: Instance) -> tuple[str, str]:
    instance = Instance.objects.get(pk=instance.pk)
    return instance.phase, instance.health_state


def feed(results: tuple[Result, ...], at: datetime) -> None:
    """Claim what is due and let these be its results."""
    store_finished([Finished(claimed, results, 0.5) for claimed, _ in claim_due(at, room=100)])


def passes(now: datetime, until: Any, *, limit: float = 15.0) -> None:
    """Run the pass, as a lane does, until it has come true."""
    end = time.monotonic() + limit
    pause = threading.Event()
    while not until() and time.monotonic() < end:
        check_due(now)
        pause.wait(0.01)
    assert until()


def test_an_instance_with_ports_is_checking_until_one_answers() -> None:
    instance = begun("http://x")
    assert state_of(instance) == ("checking", "checking")
    assert instance.health_due_at == NOW
    feed(WELL, NOW)
    assert state_of(instance) == ("ready", "ok")
    instance.refresh_from_db()
    assert instance.ready_at == instance.health_checked_at == NOW + timedelta(seconds=0.5)
    assert instance.health_detail == "port 80 answers HTTP 200"
    assert Event.objects.filter(instance=instance, type="instance.ready").count() == 1


@pytest.mark.parametrize("changes", [{}, {"health_check": None}, {"managed": False, "wanted": "", "wanted_at": None}])
def test_where_nothing_is_to_be_checked_running_is_ready(changes: dict[str, Any]) -> None:
    instance = begun(*(["http://x"] if changes else []), **changes)
    assert state_of(instance) == ("ready", "none")
    assert (instance.ready_at, instance.health_due_at) == (NOW, None)


def test_before_its_endpoints_are_read_it_is_neither_ready_nor_due() -> None:
    instance = running("http://x")
    await_endpoints(instance)
    refresh_phase(instance, now=NOW)
    assert state_of(instance) == ("checking", "checking")
    assert claim_due(NOW, room=100) == []


def test_ports_without_an_address_keep_it_checking() -> None:
    instance = running("http://x")
    assert instance.machine is not None
    instance.machine.endpoints = []
    begin_checks(instance, instance.machine, now=NOW)
    refresh_phase(instance, now=NOW)
    assert state_of(instance) == ("checking", "checking")


def test_failures_before_it_was_ready_leave_it_checking_every_five_seconds() -> None:
    instance = begun("http://x")
    for number in range(1, 6):
        feed(DEAD, NOW + number * timedelta(seconds=10))
        instance.refresh_from_db()
        assert (instance.phase, instance.health_state, instance.health_failures) == ("checking", "checking", number)
        assert instance.health_due_at == NOW + timedelta(seconds=10 * number + 5.5)
    assert instance.phase_reason == "port 80: Connection refused"


def test_three_failures_make_a_ready_one_unhealthy_and_one_success_heals() -> None:
    instance = begun("http://x")
    feed(WELL, NOW)
    seen = []
    for number, results in enumerate((DEAD, DEAD, DEAD, DEAD, WELL), start=1):
        feed(results, NOW + number * timedelta(minutes=2))
        seen.append(state_of(instance))
    assert seen == [("ready", "ok"), ("ready", "ok"), ("unhealthy", "failing"), ("unhealthy", "failing"), ("ready", "ok")]
    types = list(Event.objects.filter(instance=instance).order_by("id").values_list("type", flat=True))
    assert types == ["instance.checking", "instance.ready", "instance.unhealthy", "instance.recovered"]
    instance.refresh_from_db()
    assert instance.ready_at == NOW + timedelta(seconds=0.5)


def test_an_unchanged_result_moves_the_time_alone() -> None:
    instance = begun("http://x")
    feed(WELL, NOW)
    before = Event.objects.count()
    feed(WELL, NOW + timedelta(minutes=2))
    instance.refresh_from_db()
    assert instance.health_checked_at == NOW + timedelta(seconds=120.5)
    assert Event.objects.count() == before


def test_named_ports_must_all_answer() -> None:
    instance = begun("http://x", "http://y", health_check={"http": {"port": 80}, "tcp": {"port": 81}})
    ((claimed, targets),) = claim_due(NOW, room=100)
    assert [(one.type, one.port) for one in targets] == [("http", 80), ("tcp", 81)]
    store_finished([Finished(claimed, WELL + DEAD, 0.1)])
    assert state_of(instance) == ("checking", "checking")


def test_a_claim_is_won_once_and_lasts_its_lease() -> None:
    begun("http://x")
    assert len(claim_due(NOW, room=100)) == 1
    assert claim_due(NOW, room=100) == []
    assert claim_due(NOW + LEASE - timedelta(seconds=1), room=100) == []
    assert len(claim_due(NOW + LEASE, room=100)) == 1


def test_a_claim_lost_to_another_worker_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    begun("http://x")
    real = health_checks._claim

    def raced(instance: Instance, until: datetime) -> bool:
        Instance.objects.filter(pk=instance.pk).update(health_due_at=F("health_due_at") + LEASE)
        return real(instance, until)

    monkeypatch.setattr(health_checks, "_claim", raced)
    assert claim_due(NOW, room=100) == []


def test_what_is_not_due_is_not_claimed() -> None:
    begun("http://x")
    assert claim_due(NOW - timedelta(seconds=1), room=100) == []


def test_a_claim_takes_no_more_than_there_is_room_for_and_the_least_failed_first() -> None:
    failed = begun("http://a", "http://b")
    Instance.objects.filter(pk=failed.pk).update(health_failures=5, health_due_at=NOW - timedelta(hours=1))
    new = begun("http://c", "http://d")
    assert claim_due(NOW, room=0) == []
    assert [one.instance_id for one, _ in claim_due(NOW, room=2)] == [new.pk]
    assert [one.instance_id for one, _ in claim_due(NOW, room=1)] == [failed.pk]


def changed(instance: Instance, what: str) -> None:
    """What may happen between a claim and its results."""
    machine = instance.machine
    assert machine is not None
    if what == "run":
        Machine.objects.filter(pk=machine.pk).update(running_since=NOW + timedelta(seconds=1))
    elif what == "machine":
        other = Machine.objects.create(
            instance=instance, novita_id="other", created_at=NOW, status="running", running_since=NOW
        )
        Instance.objects.filter(pk=instance.pk).update(machine=other)
    elif what == "end":
        end_checks(instance)
    else:
        begin_checks(instance, machine, now=NOW + timedelta(seconds=2))


@pytest.mark.parametrize("what", ["run", "machine", "end", "begin"])
def test_results_of_another_run_or_an_older_claim_are_dropped(what: str) -> None:
    instance = begun("http://x")
    ((claimed, _),) = claim_due(NOW, room=100)
    instance.refresh_from_db()
    changed(instance, what)
    before = Instance.objects.values().get(pk=instance.pk)
    store_finished([Finished(claimed, WELL, 0.5)])
    assert Instance.objects.values().get(pk=instance.pk) == before


def test_leaving_running_ends_the_checks_and_a_new_run_begins_them_anew() -> None:
    instance = begun("http://x")
    feed(WELL, NOW)
    instance.refresh_from_db()
    end_checks(instance)
    assert (instance.health_state, instance.health_due_at) == ("none", None)

    later = NOW + timedelta(hours=1)
    assert instance.machine is not None
    instance.machine.running_since = later
    instance.machine.save()
    begin_checks(instance, instance.machine, now=later)
    refresh_phase(instance, now=later)
    assert state_of(instance) == ("checking", "checking")


def test_endpoints_read_again_do_not_turn_an_unhealthy_one_ready() -> None:
    instance = begun("http://x")
    feed(WELL, NOW)
    for minutes in (2, 4, 6):
        feed(DEAD, NOW + timedelta(minutes=minutes))
    instance.refresh_from_db()
    assert instance.machine is not None
    begin_checks(instance, instance.machine, now=NOW + timedelta(minutes=7))
    refresh_phase(instance, now=NOW + timedelta(minutes=7))
    assert state_of(instance) == ("unhealthy", "failing")
    assert instance.health_due_at == NOW + timedelta(minutes=7)


def test_checks_switched_off_while_they_run_leave_it_ready() -> None:
    instance = begun("http://x")
    Instance.objects.filter(pk=instance.pk).update(health_check=None)
    assert claim_due(NOW, room=100) == []
    assert state_of(instance) == ("ready", "none")
    instance.refresh_from_db()
    assert instance.health_due_at is None


def test_a_pass_finds_an_answering_port_and_a_dead_one() -> None:
    with fault_server(answer(b"")) as server:
        well = begun(refused_url(), server.url)
        dead = begun(refused_url())
        passes(NOW, lambda: state_of(well)[1] == "ok" and Instance.objects.get(pk=dead.pk).health_failures == 1)
    assert state_of(well) == ("ready", "ok")
    assert state_of(dead) == ("checking", "checking")


def test_many_endpoints_that_never_answer_hold_up_neither_the_pass_nor_a_new_instance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool: ProbePool[Checked] = ProbePool(threads=8, backlog=16, timeout=1)
    monkeypatch.setattr(health_checks, "probe_pool", pool)
    with fault_server(hang) as silent, fault_server(answer(b"")) as server:
        dead = {begun(silent.url).pk for _ in range(100)}
        Instance.objects.filter(pk__in=dead).update(health_failures=1)
        began = time.monotonic()
        check_due(NOW)
        assert time.monotonic() - began < 1
        assert pool.room == 0

        well = begun(server.url)
        passes(NOW, lambda: state_of(well)[1] == "ok")
        assert Instance.objects.filter(pk__in=dead, health_checked_at=None).exists()
        passes(NOW - timedelta(days=1), lambda: pool.is_idle)
    pool.close()

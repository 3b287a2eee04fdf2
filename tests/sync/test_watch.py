"""What looking costs: pages of the list while nothing moves, nothing per instance, and the cadence of it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import OuterRef, Subquery

from instances.models import Instance, Machine, PeriodicWork, ProviderAccount
from instances.provider import novita
from instances.readings import reading_of
from sync import watch
from tests.driving import Drive, driving
from tests.factories import NOW, make_account, make_instance

MACHINES = 1000
MOST_PAGES = 11


@pytest.fixture
def thousand(db: None, settings: Any) -> Iterator[Drive]:
    """A thousand running machines, managed, at rest, their details read."""
    with driving(settings, fleet=str(MACHINES)) as drive:
        _record_all(drive.now)
        watch.poll_if_due(drive.now)
        drive.forget_calls()
        yield drive


def _record_all(now: datetime) -> None:
    wish: dict[str, Any] = {"wanted": "running", "wanted_at": now, "met_at": now, "created_at": now}
    instances, machines = [], []
    for number, remote in enumerate(novita().list_instances().instances):
        instances.append(Instance(name=f"worker-{number}", phase="ready", ready_at=now, phase_since=now, **wish))
        times = {"created_at": now, "observed_at": now, "status_since": now, "running_since": now, "details_read_at": now}
        columns = reading_of(remote).columns | times
        machines.append(Machine(instance=instances[-1], novita_id=remote.id, **columns))
    Instance.objects.bulk_create(instances)
    Machine.objects.bulk_create(machines)
    current = Machine.objects.filter(instance=OuterRef("pk")).values("pk")[:1]
    Instance.objects.update(machine=Subquery(current))


def test_a_thousand_running_machines_cost_eleven_pages_a_poll_and_nothing_each(thousand: Drive) -> None:
    assert Machine.objects.known().filter(status="running").count() == MACHINES
    polls = 0
    for _ in range(24):
        thousand.clock.shift(timedelta(seconds=5))
        polls += watch.poll_if_due(thousand.now)
        watch.watch_if_due(thousand.now)
        watch.read_details_if_due(thousand.now)

    counts = thousand.novita.look("calls")["counts"]
    assert polls >= 2
    assert set(counts) == {"list"}
    assert counts["list"] <= MOST_PAGES * polls


def test_lists_take_at_most_half_the_pace(settings: Any, db: None) -> None:
    settings.NOVITA_REQUESTS_PER_MINUTE = 20
    make_account(list_total=950)

    interval = watch.poll_interval()

    assert 11 / (interval.total_seconds() / 60) <= 20 / 2
    ProviderAccount.objects.update(list_total=5)
    assert watch.poll_interval() == settings.INSTANCE_POLL_INTERVAL


@pytest.mark.parametrize(
    ("status", "moves"), [("toStart", True), ("pulling", True), ("running", False), ("hibernating", False)]
)
def test_an_unfamiliar_word_is_no_motion(db: None, status: str, *, moves: bool) -> None:
    make_instance(status=status)

    assert watch.in_motion() is moves


def test_an_endpoint_that_novita_never_names_is_asked_for_ever_more_seldom(db: None) -> None:
    make_instance(machine={"details_due": True, "details_read_at": NOW + timedelta(seconds=1)})
    read_at, asked = NOW + timedelta(seconds=1), 0
    for seconds in range(2, 3600, 5):
        now = NOW + timedelta(seconds=seconds)
        if watch._with_details_due(now):
            asked, read_at = asked + 1, now
            Machine.objects.update(details_read_at=read_at)

    assert 5 < asked < 30


def test_the_lease_of_a_long_list_is_renewed_page_by_page(thousand: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    list_instances = novita().list_instances
    thousand.clock.shift(timedelta(minutes=5))

    def slow(**options: Any) -> Any:
        def on_page(number: int) -> None:
            thousand.clock.shift(timedelta(minutes=1))
            options["on_page"](number)
            seen.append(PeriodicWork.objects.get(name="poll").lease_until)

        return list_instances(on_page=on_page)

    monkeypatch.setattr(novita(), "list_instances", slow)
    watch.poll_if_due(thousand.now)

    assert len(seen) >= 10
    assert seen[-1] - seen[0] > timedelta(minutes=5)

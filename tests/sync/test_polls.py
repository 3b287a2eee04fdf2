"""What a poll costs, and what it vouches for."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.models import Instance, Machine, ProviderAccount
from instances.operations import request_stop
from instances.vouching import effective_observed_at
from tests.driving import Drive, driving
from tests.factories import PERSON
from tests.sync.fleets import STEP, fleet, listed


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, speed=5) as one:
        yield one


def test_a_list_vouches_for_what_it_left_unchanged(drive: Drive) -> None:
    fleet(drive, 1)
    stored = Machine.objects.get().observed_at

    drive.clock.shift(timedelta(minutes=3))
    result = listed(drive)

    machine = Machine.objects.get()
    assert machine.observed_at == stored
    assert effective_observed_at(machine, ProviderAccount.objects.get()) == result.listed.began_at
    assert result.changes == ()


def test_a_poll_that_finds_nothing_new_writes_no_machine(drive: Drive) -> None:
    fleet(drive, 5)
    listed(drive)

    with CaptureQueriesContext(connection) as queries:
        listed(drive)

    writes = [one["sql"] for one in queries.captured_queries if one["sql"].startswith(("UPDATE", "INSERT", "DELETE"))]
    tables = {sql.split('"')[1] for sql in writes}
    assert tables <= {
        "instances_provideraccount",
        "instances_providerpace",
        "instances_providerbreaker",
        "sync_syncrun",
    }, writes


def test_details_are_read_once_for_each_run(drive: Drive) -> None:
    [instance] = fleet(drive, 1)
    drive.let_pass(100, step=10)
    assert drive.count("get") == 1

    request_stop(instance.pk, actor=PERSON, reason="", now=drive.now)
    drive.until_phase(instance, "stopped", step=STEP)
    drive.let_pass(100, step=10)

    assert drive.count("get") == 2
    instance.refresh_from_db()
    assert instance.machine is not None
    assert instance.machine.data_purged_at is not None


@pytest.fixture
def crowd(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings, fleet="250") as one:
        yield one


def test_a_poll_of_250_costs_three_or_four_pages_and_no_read_by_id(crowd: Drive) -> None:
    first = listed(crowd)
    assert (len(first.listed.instances), first.listed.complete) == (250, True)
    assert Instance.objects.filter(managed=False).count() == 250
    crowd.forget_calls()

    second = listed(crowd)

    assert (second.changes, second.listed.complete) == ((), True)
    assert crowd.count("list") in (3, 4)
    assert crowd.novita.look("calls")["counts"].keys() == {"list"}


def test_a_page_that_repeats_another_makes_the_list_incomplete_and_nothing_missing(crowd: Drive) -> None:
    listed(crowd)
    crowd.novita.turn("faults", faults=[{"call": "list", "kind": "page_repeat"}])

    result = listed(crowd)

    assert not result.listed.complete
    assert not Machine.objects.filter(missing_since__isnull=False).exists()

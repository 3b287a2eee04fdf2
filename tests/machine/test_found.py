"""What the state machine found, each as short as it can be told."""

from collections.abc import Iterator
from typing import Any

import pytest

from instances.models import Instance, Machine
from tests.driving import Drive, driving
from tests.machine.account import Account


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings) as one:
        one.until(lambda: one.count("products"))
        yield one


def test_a_lost_create_that_a_list_told_of_without_its_name_is_found_and_made_once(drive: Drive) -> None:
    drive.faults(
        {"call": "create", "kind": "reset", "when": "after", "count": 1},
        {"call": "list", "kind": "missing_fields", "when": "after", "count": 2},
    )
    instance = drive.create()

    drive.until_phase(instance, "ready")

    [machine] = drive.living()
    assert Machine.objects.get().novita_id == machine["id"]
    assert Instance.objects.get() == instance


def test_a_worker_that_hangs_before_its_call_does_not_make_it_once_others_may_judge_it(drive: Drive) -> None:
    account = Account(drive)
    account.armed = ("create.before_call", "stalls")
    account.hangs_for = 150
    account.create()

    account.work(1)
    drive.until_idle(step=5)

    assert account.did["stalls at before_call"] == 1
    assert len(drive.living("worker-1--")) == 1


def test_a_stop_that_hung_before_its_call_reaches_nobody_who_was_started_meanwhile(drive: Drive) -> None:
    account = Account(drive)
    account.create()
    instance = drive.until_phase(Instance.objects.get(), "ready", step=5)
    account.armed, account.hangs_for = ("stop.before_call", "stalls"), 150
    account.ask("stop", 0)

    account.work(1)
    instance.refresh_from_db()

    assert drive.count("stop") == 1
    assert instance.phase == "stopped"

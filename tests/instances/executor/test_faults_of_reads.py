"""Each way a list or a read by id may fail: what the client makes of it, and that nothing is believed of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from instances import operations, provider
from instances.models import Alarm, Instance, Machine
from instances.novita.errors import (
    InvalidRequest,
    NoCapacity,
    NoMoney,
    NovitaError,
    RateLimited,
    Unavailable,
    Unknown,
)
from sync.listing import run_list
from tests.driving import Drive, driving, event_types
from tests.factories import PERSON

# What leaves open whether a write happened; the first two members of a fault on any call.
UNCLEAR = ("500", "502", "timeout", "reset", "bad_json", "wrong_content_type")
UNREADABLE = UNCLEAR  # a read that fails so tells nothing
STEP = 15.0


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    """A Novita that is quick, so that a test is about its faults: from create to running takes about six seconds."""
    with driving(settings, speed=5) as one:
        yield one


def fault(call: str, kind: str, **more: Any) -> dict[str, Any]:
    """A time-out is longer than the client's and short enough for the simulator to stop soon."""
    return {"call": call, "kind": kind, **({"seconds": 3.0} if kind == "timeout" else {}), **more}


def wish(drive: Drive, verb: str, instance: Instance) -> None:
    getattr(operations, f"request_{verb}")(instance.pk, actor=PERSON, reason="a test", now=drive.now)


def loaded(drive: Drive) -> None:
    """Until the catalogue is read, so that a create is sent at the next step."""
    drive.until(lambda: drive.count("products"))


def raised_by(drive: Drive, instance: Instance) -> type[NovitaError]:
    """The class of the error that its newest job keeps."""
    kinds = (InvalidRequest, NoCapacity, NoMoney, RateLimited, Unavailable, Unknown)
    return {kind.code: kind for kind in kinds}[drive.job(instance).error_code]


# --- lists

LIST_RAISES: dict[str, type[NovitaError]] = {
    "500": Unavailable,
    "502": Unavailable,
    "429": RateLimited,
    "timeout": Unknown,
    "reset": Unknown,
    "bad_json": Unavailable,
    "wrong_content_type": Unavailable,
}


@pytest.mark.parametrize("kind", LIST_RAISES)
def test_a_list_that_cannot_be_read_changes_nothing(drive: Drive, kind: str) -> None:
    instance = drive.ready(ports=())
    before = Machine.objects.values().get()
    events = event_types(instance)
    drive.faults(fault("list", kind))

    with pytest.raises(LIST_RAISES[kind]) as caught:
        run_list(provider.novita(), trigger="poll")

    assert type(caught.value) is LIST_RAISES[kind]
    assert drive.novita.look("faults")["faults"][0]["fired"] >= 2  # a read is tried again
    drive.faults()
    assert Machine.objects.values().get() == before
    assert event_types(instance) == events


def test_a_list_is_not_read_again_before_the_time_novita_names(drive: Drive) -> None:
    drive.faults(fault("list", "429", retry_after=50, count=1))

    with pytest.raises(RateLimited):
        run_list(provider.novita(), trigger="poll")
    drive.let_pass(60, step=5)

    first, second = drive.calls("list")[:2]
    assert 50 <= second["at"] - first["at"] <= 60


def test_one_list_that_fails_is_made_good_by_the_next(drive: Drive) -> None:
    loaded(drive)
    drive.faults(*(fault("list", kind, count=2) for kind in ("500", "reset", "bad_json")))

    instance = drive.create()
    drive.until_phase(instance, "ready", step=STEP)

    assert len(drive.machines()) == 1


@pytest.mark.parametrize("kind", ["unknown_words", "missing_fields"])
def test_a_status_nobody_knows_is_shown_and_acted_on_by_nothing(drive: Drive, kind: str) -> None:
    instance = drive.ready(ports=())
    assert instance.machine is not None
    billed_since = instance.machine.billed_since
    novita_id = instance.machine.novita_id or ""
    drive.forget_calls()
    drive.faults(fault("list", kind, instance=novita_id), fault("get", kind, instance=novita_id))

    drive.let_pass(150, step=STEP)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted) == ("unknown", "running")
    assert ("hibernating" if kind == "unknown_words" else "(no status)") in instance.phase_reason
    machine = Machine.objects.get()
    assert (machine.billed_since, machine.absent_at) == (billed_since, None)
    assert instance.jobs.count() == 1
    assert not any(drive.count(verb) for verb in ("start", "stop", "restart", "delete", "create"))

    drive.faults()
    drive.until_phase(instance, "ready", step=STEP)
    assert Machine.objects.get().billed_since == billed_since


def test_a_stale_list_after_a_start_is_not_taken_for_a_stop_outside(drive: Drive) -> None:
    instance = drive.ready(ports=())
    wish(drive, "stop", instance)
    drive.until_phase(instance, "stopped")
    wish(drive, "start", instance)
    drive.until_phase(instance, "ready")

    drive.faults(fault("list", "stale_list", seconds=20))
    for _ in range(3):
        run_list(provider.novita(), trigger="poll")
    drive.faults()
    drive.let_pass(40, step=STEP)

    instance.refresh_from_db()
    assert (instance.phase, instance.wanted) == ("ready", "running")
    assert "instance.changed_outside" not in event_types(instance)
    assert (drive.count("stop"), drive.count("start")) == (1, 1)


def test_a_stale_list_after_a_stop_does_not_repeat_it_at_once(drive: Drive) -> None:
    instance = drive.ready(ports=())
    drive.faults(fault("list", "stale_list", seconds=20))
    wish(drive, "stop", instance)
    drive.let_pass(15)
    drive.faults()

    drive.until_phase(instance, "stopped")

    assert drive.count("stop") == 1


def test_an_empty_list_makes_nothing_gone(drive: Drive) -> None:
    instances = [drive.create(f"worker-{number}", ports=()) for number in range(3)]
    for instance in instances:
        drive.until_phase(instance, "ready", step=STEP)
    drive.faults(fault("list", "empty_list"))

    drive.let_pass(150, step=STEP)

    for instance in instances:
        instance.refresh_from_db()
        assert (instance.phase, instance.wanted) == ("ready", "running")
    assert Alarm.objects.filter(kind="list_not_believed").exists()
    assert drive.count("delete") == 0

    drive.faults()
    drive.until(lambda: not drive.alarms("list_not_believed"), step=STEP)
    assert not Machine.objects.filter(missing_since__isnull=False).exists()


@pytest.mark.parametrize("kind", ["page_gap", "missing_fields"])
def test_an_incomplete_list_proves_no_absence(drive: Drive, kind: str) -> None:
    instance = drive.ready(ports=())
    drive.faults(fault("list", kind))

    result = run_list(provider.novita(), trigger="poll")

    assert not result.listed.complete
    assert result.run.problem
    machine = Machine.objects.get()
    assert machine.missing_since is None
    instance.refresh_from_db()
    assert instance.wanted == "running"


# --- reads by id


@pytest.mark.parametrize("kind", [*UNREADABLE, "429"])
def test_details_that_cannot_be_read_are_read_later(drive: Drive, kind: str) -> None:
    loaded(drive)
    drive.faults(fault("get", kind, count=4))
    instance = drive.create()
    drive.until(lambda: drive.novita.look("faults")["faults"][0]["count"] == 0, step=STEP)
    instance.refresh_from_db()
    assert instance.phase == "checking"

    drive.until_phase(instance, "ready", step=STEP)

    assert instance.machine is not None
    assert [one["port"] for one in instance.machine.endpoints] == [8080]


@pytest.mark.parametrize("kind", ["500", "reset", "timeout", "bad_json"])
def test_products_that_cannot_be_read_make_the_create_wait(drive: Drive, kind: str) -> None:
    drive.faults(fault("products", kind), fault("clusters", kind))
    instance = drive.create()
    drive.let_pass(10)
    assert drive.job(instance).state == "queued"

    drive.faults()
    drive.until_phase(instance, "ready", step=STEP)

    assert drive.count("create") == 1

"""Taking a machine into care and handing it back: neither writes to Novita."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from instances.events import Actor
from instances.executor.run import derive_missing
from instances.models import Event, Instance, Job
from instances.operations import (
    JobOpen,
    NameTaken,
    adopt,
    release,
)
from tests.driving import Drive, driving
from tests.factories import NOW, PERSON, make_instance, make_job
from tests.instances.api.calls import Caller
from tests.instances.reads import lose, show

pytestmark = pytest.mark.django_db
RULE = Actor(kind="rule", name="auto-stop")
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def drive(db: None, settings: Any) -> Iterator[Drive]:
    with driving(settings) as one:
        yield one


def ask(operation: Any, instance: Instance, *, actor: Actor = PERSON, **more: Any) -> Instance:
    result: Instance = operation(instance.pk, actor=actor, reason="because", now=NOW, **more)
    return result


def types(instance: Instance) -> list[str]:
    return list(Event.objects.filter(instance=instance).order_by("id").values_list("type", flat=True))


def test_adopting_changes_nothing_at_novita_and_starts_the_clock() -> None:
    instance = make_instance(managed=False, name="")

    adopt(instance.pk, name="mine", settings={"owner": "maya"}, actor=PERSON, reason="ours", now=LATER)

    instance.refresh_from_db()
    assert (instance.name, instance.owner, instance.wanted, instance.met) == ("mine", "maya", "running", True)
    assert (instance.auto_stop_mode, instance.local_data, instance.last_used_at) == ("observe", "precious", LATER)
    assert not Job.objects.exists()


def test_an_adopted_one_is_checked_from_now_on_and_a_released_one_no_longer() -> None:
    endpoints = [{"port": 8080, "type": "http", "url": "http://127.0.0.1:1/"}]
    instance = make_instance(managed=False, ready_at=NOW, machine={"endpoints": endpoints, "running_since": NOW})

    ask(adopt, instance, name="mine", settings={})

    instance.refresh_from_db()
    assert (instance.health_state, instance.health_due_at, instance.phase) == ("checking", NOW, "ready")
    ask(release, instance)
    instance.refresh_from_db()
    assert (instance.health_state, instance.health_due_at, instance.phase) == ("none", None, "ready")


WISHES = {
    "running": ("toCreate", "creating", "pulling", "toStart", "starting", "restarting", "migrating", "freezing", "running"),
    "stopped": ("toStop", "stopping", "exited"),
    "": ("toRemove", "removing"),
}
STATUSES = [(status, wanted) for wanted, words in WISHES.items() for status in words]
ENDS = ("running", "exited", "gone")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("status", "wanted"), STATUSES)
def test_what_is_observed_is_wanted_and_whatever_comes_of_it_is_news(status: str, wanted: str, end: str) -> None:
    """One adopted at any moment is asked nothing of, whatever it does next by itself or by somebody's hand."""
    instance = make_instance(status=status, managed=False, machine={"billing_mode": "on_demand"})

    ask(adopt, instance, name="mine", settings={})
    instance.refresh_from_db()
    assert (instance.wanted, instance.met, instance.wanted_at is not None) == (wanted, bool(wanted), bool(wanted))
    for minute in (5, 6, 7):
        at = NOW + timedelta(minutes=minute)
        if end == "gone":
            lose(instance, at)
        else:
            show(instance, end, at)
        derive_missing(at)

    assert not Job.objects.exists()
    shown = {"running": "running", "exited": "stopped", "gone": ""}[end]
    assert (instance.managed, instance.wanted) == (True, shown)
    assert instance.wanted_by_kind == ("user" if shown == wanted else "outside")


def test_one_adopted_while_it_pulls_and_stopped_in_the_console_stays_stopped(drive: Drive) -> None:
    """It ran and was stopped between two lists, so that no read ever showed it running."""
    theirs = drive.novita.create()
    drive.step()
    drive.clock.shift(timedelta(seconds=9))
    drive.step()
    found = Instance.objects.get()
    assert found.phase == "pulling"
    caller = Caller()
    assert caller.post(f"/instances/{found.pk}/adopt", {"name": "mine", "reason": "it is ours"}).status_code == 202

    drive.clock.shift(timedelta(seconds=30))
    assert drive.novita.get(theirs)["status"] == "running"
    drive.novita.command("stop", theirs)
    drive.clock.shift(timedelta(seconds=10))
    drive.forget_calls()
    drive.let_pass(600, step=15)

    assert not Job.objects.exists()
    assert (drive.count("start"), drive.novita.get(theirs)["status"]) == (0, "exited")
    wish = caller.get(f"/instances/{found.pk}/explain").json()["wish"]
    assert (wish["wanted"], wish["by"]["kind"]) == ("stopped", "outside")


def test_adopting_needs_a_free_name() -> None:
    make_instance(name="mine")
    stranger = make_instance(managed=False, name="x")

    with pytest.raises(NameTaken):
        adopt(stranger.pk, name="MINE", settings={}, actor=PERSON, reason="", now=NOW)


def test_releasing_deletes_nothing_and_ends_the_wish() -> None:
    instance = make_instance()

    ask(release, instance)

    instance.refresh_from_db()
    assert (instance.managed, instance.wanted, instance.phase) == (False, "", "ready")
    assert not Job.objects.exists()


def test_releasing_waits_for_an_open_job() -> None:
    instance = make_instance()
    make_job(instance, verb="stop")

    with pytest.raises(JobOpen):
        ask(release, instance)

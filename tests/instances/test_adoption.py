"""Taking a machine into care and handing it back: neither writes to Novita."""

from datetime import timedelta
from typing import Any

import pytest

from instances.events import Actor
from instances.models import Event, Instance, Job
from instances.operations import (
    JobOpen,
    NameTaken,
    adopt,
    release,
)
from tests.factories import NOW, PERSON, make_instance, make_job

pytestmark = pytest.mark.django_db
RULE = Actor(kind="rule", name="auto-stop")
LATER = NOW + timedelta(minutes=1)


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

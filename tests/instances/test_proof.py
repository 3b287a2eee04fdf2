"""A stop takes two reads, a deletion a list and a read or two reads, all begun after the call."""

import pytest

from instances.models import Machine
from instances.observation import observe_missing, observe_not_found
from tests.factories import NOW, make_account, make_instance, make_job
from tests.instances.reads import SECOND, lose, machine_of, show

pytestmark = pytest.mark.django_db


def test_the_second_read_after_the_call_that_shows_a_stop_proves_it() -> None:
    instance = make_instance()
    job = make_job(instance, verb="stop", state="confirming", called_at=NOW, call_ended_at=NOW + 5 * SECOND)
    Machine.objects.update(observed_at=NOW - SECOND)

    show(instance, "exited", NOW + 4 * SECOND)
    assert not instance.met

    show(instance, "exited", NOW + 6 * SECOND)
    job.refresh_from_db()
    assert (instance.met, instance.shown_at, job.state, instance.phase) == (
        False,
        NOW + 6 * SECOND,
        "confirming",
        "stopping",
    )

    show(instance, "exited", NOW + 6 * SECOND)  # the same read told again
    assert not instance.met

    show(instance, "exited", NOW + 7 * SECOND)
    job.refresh_from_db()
    assert (instance.met_at, job.state, instance.phase) == (NOW + 7 * SECOND, "succeeded", "stopped")


def test_a_stop_shown_once_and_then_running_again_starts_its_proof_anew() -> None:
    instance = make_instance()
    job = make_job(instance, verb="stop", state="confirming", called_at=NOW, call_ended_at=NOW)
    for number, status in enumerate(("exited", "running", "exited"), start=1):
        show(instance, status, NOW + number * SECOND)
    assert (instance.met, instance.shown_at) == (False, NOW + 3 * SECOND)

    show(instance, "exited", NOW + 4 * SECOND)

    job.refresh_from_db()
    assert (instance.met, job.state) == (True, "succeeded")


def test_a_deletion_takes_a_list_and_a_read_after_the_call_or_two_reads() -> None:
    listed, removed = make_instance(), make_instance()
    for instance in (listed, removed):
        make_job(instance, verb="delete", state="confirming", called_at=NOW, call_ended_at=NOW)

    assert lose(listed, NOW + SECOND)
    assert (listed.phase, listed.met) == ("deleted", True)
    [told] = listed.events.filter(type="instance.absence_proven")
    assert told.after["listed_without_it_at"] < told.after["not_found_at"]

    show(removed, "removed", NOW + SECOND)
    assert (removed.phase, removed.met) == ("deleting", False)
    assert observe_not_found(machine_of(removed), began_at=NOW + 2 * SECOND, now=NOW + 2 * SECOND, account=None)
    removed.refresh_from_db()
    assert (removed.phase, removed.met) == ("deleted", True)


def test_a_list_begun_before_the_call_proves_no_deletion_by_itself() -> None:
    instance = make_instance()
    make_job(instance, verb="delete", state="confirming", called_at=NOW, call_ended_at=NOW + 5 * SECOND)
    observe_missing([machine_of(instance).pk], list_began_at=NOW + SECOND)

    for seconds, phase in ((6, "deleting"), (7, "deleted")):
        at = NOW + seconds * SECOND
        observe_not_found(machine_of(instance), began_at=at, now=at, account=None)
        instance.refresh_from_db()
        assert instance.phase == phase


def test_while_lists_are_doubted_nothing_becomes_gone_and_the_evidence_is_kept() -> None:
    instance = make_instance()
    make_account(doubted_since=NOW, complete_list_at=None)

    assert not lose(instance, NOW + SECOND)

    machine = machine_of(instance)
    assert (instance.phase, machine.missing_since, machine.not_found_at) == ("ready", NOW + SECOND, NOW + 2 * SECOND)
    show(instance, "running", NOW + 3 * SECOND)
    assert (machine_of(instance).missing_since, machine_of(instance).not_found_at) == (None, None)

"""What reads do to rows: the wish, the end, the meter and the alarms that follow, each judged by when its read began."""

from datetime import timedelta
from decimal import Decimal

import pytest

from instances.attempts import resolve_attempt
from instances.discovery import discover
from instances.lifecycle import Observed
from instances.models import Alarm, Instance, Machine
from instances.novita.types import RemoteInstance
from instances.observation import observe, observe_not_found
from instances.operations import adopt, request_delete, request_start, request_stop
from instances.readings import Reading, reading_of
from instances.vouching import effective_observed_at
from tests.factories import NOW, PERSON, make_account, make_instance, make_job
from tests.instances.reads import lose, machine_of, show

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
SETTLE = timedelta(seconds=60)


def events(instance: Instance, type_: str) -> int:
    return instance.events.filter(type=type_).count()


def alarms(kind: str) -> list[str]:
    return list(Alarm.objects.filter(kind=kind, cleared_at=None).values_list("subject", flat=True))


def test_a_read_older_than_the_one_stored_is_ignored() -> None:
    instance = make_instance()

    assert not show(instance, "exited", NOW - SECOND)

    assert instance.observed is Observed.RUNNING


def test_a_complete_list_vouches_for_what_it_left_unchanged_and_outdates_older_reads() -> None:
    instance = make_instance()
    account = make_account(complete_list_at=NOW + 10 * SECOND)

    assert effective_observed_at(machine_of(instance), account) == NOW + 10 * SECOND
    assert not show(instance, "exited", NOW + 5 * SECOND)


def test_a_missing_machine_is_vouched_for_by_no_list() -> None:
    instance = make_instance(machine={"missing_since": NOW})

    account = make_account(complete_list_at=NOW + 10 * SECOND)

    assert effective_observed_at(machine_of(instance), account) == NOW


def test_gone_takes_a_list_without_it_and_a_read_that_does_not_find_it() -> None:
    instance = make_instance()

    assert not observe_not_found(machine_of(instance), began_at=NOW + SECOND, now=NOW, account=None)
    assert lose(instance, NOW + 2 * SECOND)

    assert (instance.phase, instance.wanted) == ("gone", "")
    assert events(instance, "instance.changed_outside") == 1


def test_under_a_frozen_account_nothing_is_proven_absent() -> None:
    instance = make_instance()
    make_account(frozen_since=NOW, complete_list_at=None)

    assert not lose(instance, NOW + SECOND)

    assert instance.phase != "gone"


@pytest.mark.parametrize(("verb", "gone"), [("start", False), ("migrate", False), ("create", False), ("stop", True)])
def test_within_the_settle_period_of_a_call_that_moves_it_absence_proves_nothing(verb: str, *, gone: bool) -> None:
    instance = make_instance()
    make_job(instance, verb=verb, state="succeeded", called_at=NOW, call_ended_at=NOW)

    assert lose(instance, NOW + SETTLE / 2) is gone
    assert gone or lose(instance, NOW + 2 * SETTLE)


def test_a_stop_wish_is_not_met_while_an_unclear_start_may_still_take_effect() -> None:
    instance = make_instance(status="exited")
    make_job(instance, verb="start", state="confirming", called_at=NOW, call_ended_at=NOW + SECOND, call_outcome="unclear")
    request_stop(instance.pk, actor=PERSON, reason="", now=NOW + 2 * SECOND)

    show(instance, "exited", NOW + 5 * SECOND)
    assert not instance.met

    show(instance, "exited", NOW + 2 * SETTLE)
    show(instance, "exited", NOW + 2 * SETTLE + SECOND)
    assert instance.met


def test_a_start_of_ours_that_takes_effect_after_a_stop_wish_was_met_is_stopped_again() -> None:
    instance = make_instance(status="exited")
    make_job(instance, verb="start", state="superseded", called_at=NOW, call_ended_at=NOW)
    Instance.objects.update(wanted="stopped", met_at=NOW)

    show(instance, "running", NOW + 30 * SECOND, started_at=NOW + 20 * SECOND)

    job = instance.open_job
    assert (instance.wanted, instance.met) == ("stopped", False)
    assert job is not None
    assert job.verb == "stop"
    assert events(instance, "instance.started_late") == 1


def test_a_running_machine_repeats_an_unmet_stop_unless_novita_proves_a_later_start() -> None:
    instance = make_instance()
    job = make_job(
        instance, verb="stop", state="confirming", called_at=NOW, call_ended_at=NOW + SECOND, call_outcome="accepted"
    )

    show(instance, "running", NOW + 10 * SECOND, started_at=NOW - timedelta(hours=1))
    assert (instance.wanted, instance.met) == ("stopped", False)

    show(instance, "running", NOW + 40 * SECOND, started_at=NOW + 30 * SECOND)
    job.refresh_from_db()
    assert (instance.wanted, instance.met, instance.wanted_by_kind) == ("running", True, "outside")
    assert job.state == "superseded"


def test_a_restart_of_ours_under_way_is_no_start_outside() -> None:
    instance = make_instance()
    make_job(instance, verb="restart", state="superseded", called_at=NOW - 2 * SECOND, call_ended_at=NOW - SECOND)
    make_job(instance, verb="stop", state="confirming", called_at=NOW, call_ended_at=NOW + SECOND)

    show(instance, "running", NOW + 20 * SECOND, started_at=NOW + 10 * SECOND)

    assert (instance.wanted, instance.met) == ("stopped", False)


def test_an_exit_is_a_stop_outside_only_on_the_second_read() -> None:
    instance = make_instance()

    show(instance, "exited", NOW + SECOND)
    assert instance.wanted == "running"
    make_account(complete_list_at=NOW + SECOND)

    show(instance, "exited", NOW + 30 * SECOND)
    assert (instance.wanted, instance.met) == ("stopped", True)
    assert not instance.jobs.exists()


@pytest.mark.parametrize(
    ("listed_after", "tells_spot", "wanted"),
    [
        (timedelta(0), True, "running"),  # the last list was begun before the read that showed the exit
        (SECOND, False, "running"),
        (SECOND, True, "stopped"),
    ],
)
def test_an_exit_of_a_spot_machine_counts_by_a_list_and_a_later_read_that_tell_its_spot_fields(
    listed_after: timedelta, tells_spot: bool, wanted: str
) -> None:
    instance = make_instance()
    show(instance, "exited", NOW + SECOND)
    make_account(complete_list_at=NOW + listed_after)

    for seconds in (2, 30, 60):
        show(instance, "exited", NOW + seconds * SECOND, tells_spot=tells_spot)

    assert instance.wanted == wanted


def test_a_reclaimed_machine_stays_wanted_running_and_gets_no_job_here() -> None:
    instance = make_instance(machine={"running_since": NOW - timedelta(hours=2)})

    for seconds in (1, 30, 60):
        show(instance, "exited", NOW + seconds * SECOND, spot_status="terminated", spot_reclaim_at=NOW)

    assert (instance.wanted, instance.met) == ("running", True)
    assert not instance.jobs.exists()
    assert events(instance, "instance.reclaimed") == 1


def test_an_announced_reclaim_is_told_once_with_its_time() -> None:
    instance = make_instance()

    for seconds in (1, 2):
        show(instance, "running", NOW + seconds * SECOND, spot_status="notified", spot_reclaim_at=NOW + SETTLE)

    told = instance.events.get(type="instance.reclaim_notified")
    assert "at 2026-11-24 12:01:00 UTC" in told.reason
    assert told.actor_kind == "outside"


def test_a_person_may_start_what_was_taken_back_though_it_is_wanted_running_all_along() -> None:
    instance = make_instance(machine={"running_since": NOW - timedelta(hours=2)})
    show(instance, "exited", NOW + SECOND, spot_status="terminated", spot_reclaim_at=NOW)

    request_start(instance.pk, actor=PERSON, reason="", now=NOW + 2 * SECOND)
    request_start(instance.pk, actor=PERSON, reason="", now=NOW + 3 * SECOND)

    assert [job.verb for job in instance.jobs.all()] == ["start"]


def test_what_comes_back_after_its_deletion_is_deleted_again() -> None:
    instance = make_instance()
    request_delete(instance.pk, actor=PERSON, reason="", now=NOW)
    lose(instance, NOW + SECOND)
    assert instance.phase == "deleted"

    show(instance, "running", NOW + 30 * SECOND)

    job = instance.open_job
    assert (instance.wanted, instance.ended_at) == ("deleted", None)
    assert job is not None
    assert job.verb == "delete"


def test_what_comes_back_after_it_was_gone_is_wanted_as_it_is() -> None:
    instance = make_instance()
    lose(instance, NOW + SECOND)

    show(instance, "running", NOW + 30 * SECOND)

    assert (instance.wanted, instance.met, instance.ended_at) == ("running", True, None)
    assert not instance.jobs.exists()


def test_a_machine_of_a_create_that_was_given_up_is_taken_over_when_it_turns_up() -> None:
    instance = make_instance(status="", wanted="", wanted_at=None, given_up=True, ended_at=NOW, phase="failed")
    attempt = Machine.objects.create(
        instance=instance, correlation_id="abcdefghijklmnop", created_at=NOW, called_at=NOW, given_up_at=NOW
    )

    resolve_attempt(attempt, "late-one", now=NOW + SECOND, how="found in a list")
    show(instance, "running", NOW + 2 * SECOND)

    assert (instance.wanted, instance.given_up, instance.ended_at) == ("running", False, None)
    assert machine_of(instance) == attempt


def test_what_comes_back_to_a_name_that_is_taken_gets_a_longer_one() -> None:
    instance = make_instance(name="worker")
    lose(instance, NOW + SECOND)
    make_instance(name="Worker")

    show(instance, "running", NOW + 30 * SECOND)

    assert instance.name == f"worker-{instance.pk.hex[:8]}"
    assert instance.phase != "gone"
    assert events(instance, "instance.renamed") == 1


def discovered(novita_id: str) -> Instance:
    reading = Reading(novita_id=novita_id, columns={"provider_name": "", "status": "pulling"})
    discover([reading], began_at=NOW, now=NOW)
    return Instance.objects.get(machines__novita_id=novita_id)


def test_a_machine_that_a_list_told_of_without_its_name_goes_to_the_attempt_that_made_it() -> None:
    instance = make_instance(status="")
    attempt = Machine.objects.create(instance=instance, correlation_id="abcdefghijklmnop", created_at=NOW, called_at=NOW)
    mistaken = discovered("one-of-ours")

    assert resolve_attempt(attempt, "one-of-ours", now=NOW + SECOND, how="found in a list")

    instance.refresh_from_db()
    assert (machine_of(instance), attempt.novita_id) == (attempt, "one-of-ours")
    assert not Instance.objects.filter(pk=mistaken.pk).exists()
    assert events(instance, "instance.discovered") == events(instance, "instance.created") == 1


def test_one_that_somebody_adopted_meanwhile_stays_theirs() -> None:
    instance = make_instance(status="")
    attempt = Machine.objects.create(instance=instance, correlation_id="abcdefghijklmnop", created_at=NOW, called_at=NOW)
    theirs = discovered("adopted-one")
    adopt(theirs.pk, name="theirs", settings={}, actor=PERSON, reason="", now=NOW)

    assert not resolve_attempt(attempt, "adopted-one", now=NOW + SECOND, how="found in a list")

    assert (attempt.novita_id, instance.machine) == (None, None)
    assert Instance.objects.get(machines__novita_id="adopted-one") == theirs


def test_an_unfamiliar_word_ends_no_run() -> None:
    instance = make_instance(machine={"billed_since": NOW, "billed_price_usd_per_hour": Decimal("0.35")})
    before = machine_of(instance)

    show(instance, "hibernating", NOW + 30 * SECOND)
    assert instance.phase == "unknown"
    assert machine_of(instance).endpoints == before.endpoints
    show(instance, "running", NOW + SETTLE)

    assert instance.phase == "ready"
    assert machine_of(instance).running_since == before.running_since
    assert machine_of(instance).billed_since == NOW
    assert events(instance, "instance.running") == 0


def test_a_start_told_behind_an_unfamiliar_word_is_a_new_run() -> None:
    instance = make_instance(machine={"billed_since": NOW})

    show(instance, "hibernating", NOW + 30 * SECOND)
    show(instance, "running", NOW + SETTLE, started_at=NOW + 40 * SECOND)

    assert machine_of(instance).running_since == NOW + SETTLE
    assert instance.phase == "checking"


def test_an_unmanaged_one_never_gets_a_wish_or_a_job() -> None:
    instance = make_instance(managed=False)

    for number, status in enumerate(("exited", "exited", "running", "toStop", "hibernating"), start=1):
        show(instance, status, NOW + number * SETTLE)

    assert (instance.wanted, instance.jobs.count()) == ("", 0)


def test_an_observation_leaves_the_columns_of_the_attempt_alone() -> None:
    instance = make_instance()
    stale = machine_of(instance)
    Machine.objects.update(called_at=NOW, details_read_at=NOW)

    reading = reading_of(RemoteInstance(id=stale.novita_id or "", status="exited"))
    observe(stale, reading, began_at=NOW + SECOND, now=NOW + SECOND, account=None)

    fresh = machine_of(instance)
    assert (fresh.status, fresh.called_at, fresh.details_read_at) == ("exited", NOW, NOW)

"""Leases of jobs: who is due and in what order, one winner, and nothing stored once a claim was lost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import OperationalError, connection

from instances.executor.claims import claim, due_jobs, give_back, store
from instances.lifecycle import OPEN_STATES, JobState
from instances.models import Job
from tests.factories import NOW, make_instance, make_job

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=60)
ENDED = ["succeeded", "failed", "cancelled", "superseded"]


@pytest.fixture(autouse=True)
def leases(settings: Any) -> None:
    settings.JOB_LEASE = LEASE


def job(verb: str = "stop", **columns: Any) -> Job:
    return make_job(make_instance(), verb=verb, **columns)


def test_what_ends_a_bill_comes_first_and_then_what_waits_longest() -> None:
    made = {
        f"{verb} {seconds}": job(verb, next_attempt_at=NOW - seconds * SECOND).pk
        for verb in ("start", "restart", "stop", "delete")
        for seconds in (1, 20)
    }

    found = due_jobs(NOW, 100)

    names = {pk: name for name, pk in made.items()}
    assert {names[pk] for pk in found[:2]} == {"stop 20", "delete 20"}
    assert {names[pk] for pk in found[2:4]} == {"stop 1", "delete 1"}
    assert {names[pk] for pk in found[4:6]} == {"start 20", "restart 20"}
    assert len(found) == 8
    assert set(due_jobs(NOW, 2)) == set(found[:2])


def test_due_are_open_jobs_whose_time_has_come_and_that_nobody_holds() -> None:
    due = {job(state=state).pk for state in OPEN_STATES}
    due.add(job(state="claimed", lease_until=NOW).pk)
    job(next_attempt_at=NOW + SECOND)
    job(state="claimed", lease_until=NOW + SECOND)
    for state in ENDED:
        job(state=state)

    assert set(due_jobs(NOW, 100)) == due


def test_what_is_not_due_cannot_be_claimed_either() -> None:
    refused = [job(next_attempt_at=NOW + SECOND), job(state="claimed", lease_until=NOW + SECOND)]
    refused += [job(state=state) for state in ENDED]

    for one in refused:
        assert claim(one.pk, NOW) is None, one.state
        assert Job.objects.get(pk=one.pk).fence == one.fence


def test_a_claim_is_a_lease_with_a_new_fence() -> None:
    waiting = job()

    held = claim(waiting.pk, NOW)

    assert held is not None
    assert (held.state, held.fence, held.lease_until) == ("claimed", waiting.fence + 1, NOW + LEASE)
    assert held.lease_owner
    assert claim(waiting.pk, NOW + LEASE - SECOND) is None


def test_a_worker_that_died_before_its_call_is_followed_by_another_and_nothing_was_sent() -> None:
    waiting = job()
    claim(waiting.pk, NOW)

    successor = claim(waiting.pk, NOW + LEASE)

    assert successor is not None
    assert (successor.state, successor.call_outcome, successor.was_called) == ("claimed", "", False)


def test_a_worker_that_died_in_its_call_leaves_an_unclear_one_that_ended_before_its_lease() -> None:
    for verb in ("create", "start", "stop", "delete", "restart", "edit", "migrate", "save_image"):
        sent = job(verb, state="sent", called_at=NOW - LEASE, lease_until=NOW, fence=4, attempts=1)

        held = claim(sent.pk, NOW)

        assert held is not None
        assert (held.state, held.call_outcome, held.call_ended_at) == ("confirming", "unclear", NOW - 5 * SECOND), verb
        assert (held.called_at, held.attempts, held.fence) == (NOW - LEASE, 1, 5), verb


def test_a_job_that_confirms_keeps_what_its_call_told() -> None:
    told = job(state="confirming", called_at=NOW - LEASE, call_ended_at=NOW - SECOND, call_outcome="accepted")

    held = claim(told.pk, NOW)

    assert held is not None
    assert (held.state, held.call_outcome, held.call_ended_at) == ("confirming", "accepted", NOW - SECOND)


def test_a_stale_claim_stores_nothing() -> None:
    waiting = job()
    stale = claim(waiting.pk, NOW)
    successor = claim(waiting.pk, NOW + LEASE)
    assert stale is not None
    assert successor is not None

    assert not store(stale, state=JobState.CONFIRMING, call_outcome="accepted")

    assert (stale.state, stale.call_outcome) == ("claimed", "")
    assert store(successor, state=JobState.SENT, attempts=1)
    found = Job.objects.get(pk=waiting.pk)
    assert (found.state, found.call_outcome, found.attempts) == ("sent", "", 1)
    assert (successor.state, successor.attempts) == ("sent", 1)


def test_nothing_is_stored_into_a_job_that_has_ended() -> None:
    held = claim(job().pk, NOW)
    assert held is not None
    Job.objects.filter(pk=held.pk).update(state="superseded", finished_at=NOW)

    assert not store(held, state=JobState.SENT)
    assert Job.objects.get(pk=held.pk).state == "superseded"


@pytest.mark.parametrize("state", ["queued", "sent", "confirming"])
def test_of_two_that_read_the_same_row_one_wins(state: str) -> None:
    waiting = job(state=state, called_at=None if state == "queued" else NOW)
    rivals: list[Job | None] = []

    def rival_first(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and not rivals:
            rivals.append(None)  # its own update passes
            rivals[0] = claim(waiting.pk, NOW)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(rival_first):
        slow = claim(waiting.pk, NOW)

    assert rivals[0] is not None
    assert slow is None
    assert Job.objects.get(pk=waiting.pk).fence == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_threads_that_claim_at_once_each_job_has_one_winner() -> None:
    waiting = [job().pk for _ in range(6)]
    threads = 4
    together = Barrier(threads)

    def claim_all(_: int) -> list[Job]:
        won = []
        try:
            for pk in waiting:
                together.wait(timeout=30)
                if (held := _claim_patiently(pk)) is not None:
                    won.append(held)
        finally:
            connection.close()
        return won

    with ThreadPoolExecutor(threads) as pool:
        won = [held for found in pool.map(claim_all, range(threads)) for held in found]

    assert sorted(held.pk for held in won) == sorted(waiting)
    assert set(Job.objects.values_list("state", "fence")) == {("claimed", 1)}


def _claim_patiently(pk: Any) -> Job | None:
    """A database in memory refuses what it would queue up on a disk: then the next poke tries again."""
    for _ in range(10_000):
        try:
            return claim(pk, NOW)
        except OperationalError as error:
            if "locked" not in str(error):
                raise
    raise AssertionError("the database stayed locked")


def test_a_process_that_ends_gives_its_jobs_back_but_not_one_whose_call_is_under_way() -> None:
    claimed, sent, other = (claim(job().pk, NOW) for _ in range(3))
    assert claimed is not None
    assert sent is not None
    assert other is not None
    store(sent, state=JobState.SENT, called_at=NOW)
    Job.objects.filter(pk=other.pk).update(lease_owner="elsewhere:1:1")

    assert give_back(NOW + SECOND) == 1

    held = set(Job.objects.filter(lease_until__isnull=False).values_list("pk", flat=True))
    assert held == {sent.pk, other.pk}
    assert claim(claimed.pk, NOW + SECOND) is not None

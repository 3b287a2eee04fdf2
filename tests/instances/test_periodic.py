"""Cadence and leases: one claim wins whatever pokes, and whoever lost its lease can tell."""

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from instances.models import PeriodicWork
from instances.periodic import Claim, bring_forward, claim, finish, give_back, holds, renew
from tests.factories import NOW

pytestmark = pytest.mark.django_db
EVERY = timedelta(seconds=30)
LEASE = timedelta(seconds=10)
SECOND = timedelta(seconds=1)


def take(after: timedelta = timedelta(0), *, name: str = "poll", **options: Any) -> Claim | None:
    return claim(name, every=EVERY, lease=LEASE, now=NOW + after, **options)


def taken(after: timedelta = timedelta(0), **options: Any) -> Claim:
    held = take(after, **options)
    assert held is not None
    return held


def test_work_that_nobody_ever_did_is_due_at_once() -> None:
    held = taken()

    row = PeriodicWork.objects.get()
    assert (held.name, held.fence, held.claimed_at) == ("poll", row.fence, NOW)
    assert (row.started_at, row.lease_until, row.next_due_at) == (NOW, NOW + LEASE, NOW + EVERY)
    assert row.lease_owner == held.owner


def test_a_second_poke_gets_nothing_while_the_first_works() -> None:
    taken()

    assert take() is None
    assert take(forced=True) is None


def test_it_is_due_again_one_interval_after_it_began() -> None:
    finish(taken(), now=NOW + 5 * SECOND, ok=True)

    assert take(EVERY - SECOND) is None
    assert take(EVERY) is not None


def test_a_process_that_dies_at_it_costs_a_lease_and_no_interval() -> None:
    taken()

    assert take(LEASE - SECOND) is None
    assert take(LEASE) is not None


def test_a_lease_that_is_renewed_is_held_and_what_is_brought_forward_behind_it_waits_for_its_end() -> None:
    held = taken()
    assert renew(held, now=NOW + LEASE - SECOND)
    bring_forward("poll", to=NOW + LEASE + SECOND)

    assert take(LEASE + 2 * SECOND) is None
    finish(held, now=NOW + LEASE + 3 * SECOND, ok=True)
    assert take(LEASE + 3 * SECOND) is not None


def test_what_was_brought_forward_during_the_work_is_due_right_after_it() -> None:
    held = taken()
    bring_forward("poll", to=NOW + 2 * SECOND)
    finish(held, now=NOW + 5 * SECOND, ok=True)

    assert take(5 * SECOND) is not None


def test_forced_ignores_the_cadence_and_never_a_lease() -> None:
    finish(taken(), now=NOW, ok=True)

    taken(SECOND, forced=True)
    assert take(2 * SECOND, forced=True) is None


def test_kinds_of_work_do_not_wait_for_each_other() -> None:
    taken()

    assert take(name="balance") is not None


def test_a_lapsed_lease_is_taken_over_and_the_late_one_can_tell() -> None:
    late = taken()

    successor = taken(EVERY)

    assert successor.fence > late.fence
    assert (holds(late), holds(successor)) == (False, True)
    assert not renew(late, now=NOW + EVERY)
    assert not finish(late, now=NOW + EVERY, ok=True, detail="too late")
    row = PeriodicWork.objects.get()
    assert (row.succeeded_at, row.detail, row.lease_until) == (None, "", NOW + EVERY + LEASE)


def test_a_lease_that_is_renewed_does_not_lapse() -> None:
    held = taken()

    assert renew(held, now=NOW + EVERY - SECOND)

    assert take(EVERY, forced=True) is None
    assert holds(held)


def test_a_lease_ends_exactly_at_its_time() -> None:
    taken()

    assert take(LEASE - SECOND, forced=True) is None
    assert take(LEASE, forced=True) is not None


def test_finishing_notes_how_it_went_and_a_failure_is_no_success() -> None:
    finish(taken(), now=NOW + SECOND, ok=True, detail="3 pages")
    held = taken(EVERY)
    assert finish(held, now=NOW + EVERY + SECOND, ok=False, detail="Novita is away " * 100)

    row = PeriodicWork.objects.get()
    assert (row.succeeded_at, row.finished_at) == (NOW + SECOND, NOW + EVERY + SECOND)
    assert row.detail.startswith("Novita is away")
    assert len(row.detail) == 500
    assert row.lease_until is None


def test_work_is_brought_forward_and_never_put_off() -> None:
    finish(taken(), now=NOW, ok=True)

    bring_forward("poll", to=NOW + 5 * SECOND)
    assert PeriodicWork.objects.get().next_due_at == NOW + 5 * SECOND
    bring_forward("poll", to=NOW + EVERY)
    assert PeriodicWork.objects.get().next_due_at == NOW + 5 * SECOND
    assert take(5 * SECOND) is not None


@pytest.mark.parametrize("forced", [False, True])
def test_of_two_that_read_the_same_row_one_wins(forced: bool) -> None:
    finish(taken(), now=NOW, ok=True)
    rivals: list[Claim | None] = []

    def rival_first(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and not rivals:
            rivals.append(None)  # its own update passes
            rivals[0] = take(EVERY, forced=forced)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(rival_first):
        slow = take(EVERY, forced=forced)

    assert rivals[0] is not None
    assert slow is None
    assert holds(rivals[0])


def test_fences_only_grow() -> None:
    fences = [taken(round_ * EVERY).fence for round_ in range(5)]

    assert fences == sorted(set(fences))


def test_a_process_that_ends_gives_back_what_it_holds_and_nothing_of_others() -> None:
    held, done = taken(), taken(name="watch")
    finish(done, now=NOW + SECOND, ok=True)
    elsewhere = taken(name="balance")
    PeriodicWork.objects.filter(name="balance").update(lease_owner="elsewhere:1:1")

    assert give_back(NOW + SECOND) == 1

    row = PeriodicWork.objects.get(name="poll")
    assert (row.lease_until, row.next_due_at) == (None, NOW + SECOND)
    assert PeriodicWork.objects.get(name="watch").next_due_at == NOW + EVERY
    assert PeriodicWork.objects.get(name="balance").lease_until == NOW + LEASE
    assert take(SECOND) is not None
    assert not holds(held)
    assert holds(elsewhere)


_POD = """
import os, socket
os.getpid, socket.gethostname = lambda: 1, lambda: "novita-manager-worker-7d9c5b6f8d-" + {suffix!r}
import django
django.setup()
from instances.periodic import our_leases, process_name
assert our_leases() == our_leases()
print(our_leases(), process_name())
"""


def test_pods_whose_names_differ_at_the_end_alone_take_no_lease_for_their_own_but_their_own() -> None:
    pods = []
    for suffix in ("x2x4z", "k8s9q"):
        command = [sys.executable, "-c", _POD.format(suffix=suffix)]
        pods.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())

    (first, its_name), (second, other_name) = pods

    assert its_name.startswith(first)
    assert not other_name.startswith(first)
    assert not its_name.startswith(second)
    assert max(len(its_name), len(other_name)) <= PeriodicWork._meta.get_field("lease_owner").max_length  # type: ignore[operator]

"""Cadence and leases as rows: whatever pokes (a Celery task, the worker's own loop, a command), one claim wins.

A claim is one conditional UPDATE, the same on SQLite and PostgreSQL. The fence grows with each claim, so that whoever lost
its lease can tell.
"""

import os
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from instances.models import PeriodicWork

_tokens: dict[int, str] = {}  # by process id, so that a fork has its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    name: str
    owner: str
    fence: int
    every: timedelta
    lease: timedelta
    claimed_at: datetime


def process_name() -> str:
    """Who holds a lease: host, process and thread, in 64 characters."""
    return f"{our_leases()}{threading.get_ident() % 100_000}"


def our_leases() -> str:
    """How the owner of every lease of this process begins, and of no other process's.

    The token tells apart what host and process id do not: pods whose names differ at their ends alone run as process 1.
    """
    pid = os.getpid()
    return f"{socket.gethostname()[:30]}:{pid}:{_tokens.setdefault(pid, secrets.token_hex(4))}:"


def claim(name: str, *, every: timedelta, lease: timedelta, now: datetime, forced: bool = False) -> Claim | None:
    """The right to do this work now, or None: not due yet, or somebody holds it. `forced` ignores the cadence only.

    A lease that lapsed is due whatever the cadence: whoever had it died at the work, which must not cost a whole interval.
    """
    known = _known(name)
    if known is None:
        row, _ = PeriodicWork.objects.get_or_create(name=name, defaults={"next_due_at": now})
        known = row.lease_until, row.next_due_at, row.fence
    lease_until, next_due_at, fence = known
    if not _is_free(lease_until, now if forced else next_due_at, now=now):
        return None
    lapsed, free = Q(lease_until__lte=now), Q(lease_until=None)
    due = Q() if forced else Q(next_due_at__lte=now)
    held = Claim(name=name, owner=process_name(), fence=fence + 1, every=every, lease=lease, claimed_at=now)
    won = PeriodicWork.objects.filter(lapsed | (free & due), name=name, fence=fence).update(
        lease_owner=held.owner,
        lease_until=now + lease,
        fence=held.fence,
        started_at=now,
        next_due_at=now + every,
    )
    return held if won else None


def is_due(name: str, *, now: datetime) -> bool:
    """Whether a claim may succeed. Asked every second by each work, so it costs one narrow read and no lock."""
    known = _known(name)
    return known is None or _is_free(known[0], known[1], now=now)


def _known(name: str) -> tuple[datetime | None, datetime, int] | None:
    """Until when it is leased, when it is next due, and the fence; None where nobody ever claimed it."""
    found: tuple[datetime | None, datetime, int] | None = (
        PeriodicWork.objects.filter(name=name).values_list("lease_until", "next_due_at", "fence").first()
    )
    return found


def _is_free(lease_until: datetime | None, next_due_at: datetime, *, now: datetime) -> bool:
    return next_due_at <= now if lease_until is None else lease_until <= now


def renew(held: Claim, *, now: datetime) -> bool:
    """Extend the lease; False when somebody else holds it by now."""
    return bool(PeriodicWork.objects.filter(name=held.name, fence=held.fence).update(lease_until=now + held.lease))


def renewing(held: Claim, clock: Callable[[], datetime]) -> Callable[[int], None]:
    """What to call at each piece of a long work, with its number, so that the lease does not end in between.

    A short work costs no write: the lease is extended once a quarter of it is over.
    """
    extended_at = held.claimed_at

    def keep(_: int) -> None:
        nonlocal extended_at
        now = clock()
        if now - extended_at >= held.lease / 4:
            renew(held, now=now)
            extended_at = now

    return keep


def holds(held: Claim) -> bool:
    return PeriodicWork.objects.filter(name=held.name, fence=held.fence).exists()


def finish(held: Claim, *, now: datetime, ok: bool, detail: str = "") -> bool:
    """Give the lease back and note how it went; False when it had been lost."""
    changes: dict[str, object] = {"lease_until": None, "finished_at": now, "detail": detail[:500]}
    if ok:
        changes["succeeded_at"] = now
    return bool(PeriodicWork.objects.filter(name=held.name, fence=held.fence).update(**changes))


def give_back(now: datetime) -> int:
    """At the end of this process: let others take up at once what it holds and will not finish. How many works."""
    ours = PeriodicWork.objects.filter(lease_owner__startswith=our_leases(), lease_until__gt=now)
    return ours.update(lease_until=None, next_due_at=now)


def bring_forward(name: str, *, to: datetime) -> None:
    """Make the work due at `to` where it is due later."""
    PeriodicWork.objects.filter(name=name, next_due_at__gt=to).update(next_due_at=to)

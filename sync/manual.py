"""A sync that a person asked for: the poll's own code, at once, with its result in the answer."""

from typing import Any

from django.conf import settings
from django.utils import timezone

from instances.events import Actor
from instances.novita.client import Novita
from instances.novita.errors import NovitaError
from instances.periodic import claim, finish, renewing
from instances.provider import novita
from sync.listing import Result, change_json, news, run_list
from sync.watch import poll_interval

SHOWN_CHANGES = 1000
WAIT_MESSAGE = "another list is being taken over right now: ask again in a few seconds"


class ListRunning(Exception):
    """A list is being taken over by somebody else."""


def sync_now(*, actor: Actor, dry_run: bool, client: Novita | None = None) -> Result:
    """List and, unless `dry_run`, take over. Raises ListRunning, and NovitaError where Novita does not answer."""
    client = client or novita()
    if dry_run:
        return run_list(client, trigger="person", actor=actor, dry_run=True)
    held = claim("poll", every=poll_interval(), lease=settings.JOB_LEASE, now=timezone.now(), forced=True)
    if held is None:
        raise ListRunning(WAIT_MESSAGE)
    try:
        result = run_list(client, trigger="person", actor=actor, on_page=renewing(held, timezone.now))
    except NovitaError as error:
        finish(held, now=timezone.now(), ok=False, detail=f"{error.code}: {error.message}")
        raise
    finish(held, now=timezone.now(), ok=result.listed.complete, detail=result.run.problem)
    return result


def as_json(result: Result) -> dict[str, Any]:
    """The result as plain values: more of its changes than the run keeps, `changes_found` of them all in all."""
    run, found = result.run, news(result.changes)
    return {
        "id": run.pk,
        "trigger": run.trigger,
        "dry_run": run.dry_run,
        "complete": run.complete,
        "believed": run.complete and not result.doubt,
        "problem": run.problem,
        "pages": run.pages,
        "seen": run.seen,
        "counts": run.counts,
        "applied": run.applied,
        "seconds": round(run.duration.total_seconds(), 3) if run.duration else None,
        "changes_found": len(found),
        "changes": [change_json(one) for one in found[:SHOWN_CHANGES]],
    }

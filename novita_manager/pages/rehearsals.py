"""Sync and auto-stop by hand: GET rehearses and shows what would change and why, POST does it."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from autostop.passes import PassRunning, run_now
from autostop.results import Outcome
from instances.models import Instance
from instances.novita.errors import NovitaError
from novita_manager.pages.access import actor_of, needs
from sync.manual import ListRunning, sync_now
from sync.plan import Change

MOST_CHANGES = 200
_KIND_WORDS = {"discover": "found", "observe": "changed", "resolve": "made here after all"}


@require_http_methods(["GET", "POST"])
@needs("operate")
def sync(request: HttpRequest) -> HttpResponse:
    """Compare the records with Novita now."""
    dry_run = request.method == "GET"
    try:
        result = sync_now(actor=actor_of(request), dry_run=dry_run)
    except ListRunning as running:
        messages.warning(request, f"Not synced: {running}.")
        return redirect("fleet")
    except NovitaError as error:
        messages.error(request, f"Not synced: Novita did not answer, {error.message}. What is shown is what is known.")
        return redirect("fleet")
    changes = [one for one in result.changes if one.kind != "recheck"]
    if not dry_run:
        told = f"{len(changes)} difference{'' if len(changes) == 1 else 's'} taken over"
        problem = "" if result.listed.complete else f" The list was not complete: {result.listed.problem}."
        messages.success(request, f"Synced: {result.run.seen} listed by Novita, {told}.{problem}")
        return redirect("fleet")
    names = {str(pk): name for pk, name in Instance.objects.filter(pk__in=_ids(changes)).values_list("pk", "name")}
    lines = [
        {
            "kind": _KIND_WORDS.get(one.kind, one.kind),
            "novita_id": one.novita_id,
            "instance_id": one.instance_id,
            "name": names.get(str(one.instance_id), ""),
            "reason": one.reason,
        }
        for one in changes[:MOST_CHANGES]
    ]
    context = {"run": result.run, "lines": lines, "count": len(changes), "problem": result.listed.problem}
    return render(request, "fleet/sync.html", context)


def _ids(changes: Sequence[Change]) -> list[str]:
    return [one.instance_id for one in changes[:MOST_CHANGES] if one.instance_id]


@require_http_methods(["GET", "POST"])
@needs("operate")
def auto_stop(request: HttpRequest) -> HttpResponse:
    """A pass over all instances now: which would be stopped, which is held, and by what."""
    dry_run = request.method == "GET"
    try:
        result = run_now(now=timezone.now(), dry_run=dry_run, actor=actor_of(request), trigger="person")
    except PassRunning as running:
        messages.warning(request, f"Not checked: {running}.")
        return redirect("fleet")
    if not dry_run:
        messages.success(request, f"Auto-stop: {result.summary}")
        return redirect("fleet")
    return render(request, "fleet/auto_stop.html", {"result": result, "stops": result.count(Outcome.WOULD_STOP)})

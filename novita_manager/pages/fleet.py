"""The fleet page: everything that lives, what it costs, what happens to it next."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from novita_manager.pages.access import changed_part, etag_of, needs
from novita_manager.pages.fleet_snapshot import read_fleet
from novita_manager.roles import may


@require_GET
@needs("read")
def page(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    snapshot = read_fleet(now, may_act=may(request.user, "operate"))
    return render(request, "fleet/page.html", {"fleet": snapshot, "now": now, "etag": etag_of(snapshot)})


@require_GET
@needs("read")
def live(request: HttpRequest) -> HttpResponse:
    """The part of the fleet page that changes."""
    now = timezone.now()
    snapshot = read_fleet(now, may_act=may(request.user, "operate"))
    return changed_part(request, "fleet/live.html", {"fleet": snapshot}, etag=etag_of(snapshot), now=now)

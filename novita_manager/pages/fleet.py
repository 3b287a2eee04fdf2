"""The fleet page: everything that lives, what it costs, what happens to it next, and what needs a person."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from instances.lifecycle import Phase
from instances.models import Alarm, ProviderAccount
from instances.models.instance import BillingMode
from instances.scopes import may
from novita_manager.pages.access import changed_part, etag_of, needs
from novita_manager.pages.fleet_cards import read_cards
from novita_manager.pages.fleet_query import SHOWS, query_of
from novita_manager.pages.fleet_snapshot import notices, read_fleet
from novita_manager.pages.fleet_version import fleet_version


@require_GET
@needs("read")
def page(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    etag = _etag(request, now)  # before the page is read: what changes meanwhile is asked for again
    return render(request, "fleet/page.html", {**_context(request, now), "etag": etag, "now": now})


@require_GET
@needs("read")
def live(request: HttpRequest) -> HttpResponse:
    """The part of the fleet page that changes."""
    now = timezone.now()
    return changed_part(request, "fleet/live.html", lambda: _context(request, now), etag=_etag(request, now), now=now)


_CHOICES = {
    "shows": list(SHOWS.items()),
    "phases": Phase.values,
    "billings": [(value, value.replace("_", "-")) for value in BillingMode.values],
}


def _etag(request: HttpRequest, now: datetime) -> str:
    query = query_of(request.GET.dict())
    scopes = [scope for scope in ("operate", "create") if may(request.user, scope)]
    return etag_of(query, scopes, fleet_version(query, now))


def _context(request: HttpRequest, now: datetime) -> dict[str, Any]:
    account = ProviderAccount.objects.filter(pk=1).first()
    fleet = read_fleet(query_of(request.GET.dict()), account, now)
    return {
        **_CHOICES,
        "fleet": fleet,
        "query": fleet.query,
        "here": reverse("fleet") + fleet.query.address(),
        "cards": read_cards(account, now),
        "alarms": notices(Alarm.objects.all(), now),
        "may_operate": may(request.user, "operate"),
        "may_create": may(request.user, "create"),
    }

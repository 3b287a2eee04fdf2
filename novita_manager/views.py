"""The pages of the product: the fleet, one instance, and the verbs a person may ask for there."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import parse_etags
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from instances.events import Actor
from instances.models import Instance
from instances.operations import OperationRefused
from instances.person_verbs import VERBS, PersonVerb
from novita_manager.fleet import etag_of, read_fleet
from novita_manager.instance_story import InstanceStory, read_story

View = Callable[..., HttpResponse]
_LONGEST_REASON = 500


def _for_viewers(view: View) -> View:
    return login_required(permission_required("instances.view_instance", raise_exception=True)(never_cache(view)))


def _may_act(request: HttpRequest) -> bool:
    return request.user.has_perm("instances.change_instance")


@require_GET
@_for_viewers
def fleet(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    snapshot = read_fleet(now, may_act=_may_act(request))
    return render(request, "fleet/page.html", {"fleet": snapshot, "now": now, "etag": etag_of(snapshot)})


@require_GET
@_for_viewers
def fleet_rows(request: HttpRequest) -> HttpResponse:
    """The part of the fleet page that changes; 304 while it does not."""
    now = timezone.now()
    snapshot = read_fleet(now, may_act=_may_act(request))
    return _changed(request, "fleet/live.html", {"fleet": snapshot}, etag=etag_of(snapshot), now=now)


@require_GET
@_for_viewers
def instance(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    now = timezone.now()
    story = _story_or_404(request, instance_id, now)
    context = {"story": story, "now": now, "etag": etag_of(story), "may_act": _may_act(request)}
    return render(request, "fleet/instance.html", context)


@require_GET
@_for_viewers
def instance_rows(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """The part of an instance's page that changes; 304 while it does not."""
    now = timezone.now()
    story = _story_or_404(request, instance_id, now)
    return _changed(request, "fleet/instance_live.html", {"story": story}, etag=etag_of(story), now=now)


@require_POST
@login_required
@permission_required("instances.change_instance", raise_exception=True)
def act(request: HttpRequest, instance_id: UUID, verb: str) -> HttpResponse:
    """Ask for a verb, then go back to where it was asked. A delete needs the name typed."""
    chosen = VERBS.get(verb)
    found = Instance.objects.only("id", "name").filter(pk=instance_id).first()
    if chosen is None or found is None:
        raise Http404
    if verb == "delete" and request.POST.get("typed_name", "").strip() != str(found):
        messages.error(request, f"Not deleted: type {found} to delete it.")
    else:
        _ask(request, chosen, found)
    return _back(request, instance_id)


def _ask(request: HttpRequest, verb: PersonVerb, found: Instance) -> None:
    actor = Actor(kind="user", name=request.user.get_username())
    reason = request.POST.get("reason", "").strip()[:_LONGEST_REASON]
    try:
        verb.ask(found.pk, actor=actor, reason=reason or "asked for on the fleet page", now=timezone.now())
    except OperationRefused as refusal:
        messages.error(request, f"{verb.label} {found}: refused, {refusal.detail}.")
    else:
        messages.success(request, f"{found}: {verb.asked}.")


def _back(request: HttpRequest, instance_id: UUID) -> HttpResponseRedirect:
    if request.POST.get("back") == "fleet":
        return redirect("fleet")
    return HttpResponseRedirect(reverse("fleet-instance", args=[instance_id]))


def _story_or_404(request: HttpRequest, instance_id: UUID, now: datetime) -> InstanceStory:
    try:
        return read_story(instance_id, now, may_act=_may_act(request))
    except Instance.DoesNotExist:
        raise Http404 from None


def _changed(request: HttpRequest, template: str, context: dict[str, object], *, etag: str, now: datetime) -> HttpResponse:
    known = parse_etags(request.headers.get("If-None-Match", ""))
    unchanged = etag in known or f"W/{etag}" in known
    response = HttpResponse(status=304) if unchanged else render(request, template, {**context, "now": now})
    response["ETag"] = etag
    return response

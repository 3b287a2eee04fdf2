"""The verbs a person asks for on a page. Each goes through operations, and ends as a notice where it was asked."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from instances.models import Instance
from instances.operations import OperationRefused
from instances.person_verbs import VERBS, PersonVerb
from novita_manager.pages.access import actor_of, needs
from novita_manager.roles import may, scope_of_verb

_LONGEST_REASON = 500


@require_POST
@needs("operate")
def act(request: HttpRequest, instance_id: UUID, verb: str) -> HttpResponse:
    """Ask for a verb, then go back to where it was asked. A delete needs the name typed."""
    chosen = VERBS.get(verb)
    found = Instance.objects.only("id", "name").filter(pk=instance_id).first()
    if chosen is None or found is None:
        raise Http404
    if not may(request.user, scope_of_verb(verb)):
        raise PermissionDenied(f"your account lacks the permission to {verb} an instance")
    if verb == "delete" and request.POST.get("typed_name", "").strip() != str(found):
        messages.error(request, f"Not deleted: type {found} to delete it.")
    else:
        _ask(request, chosen, found)
    return _back(request, instance_id)


def _ask(request: HttpRequest, verb: PersonVerb, found: Instance) -> None:
    reason = request.POST.get("reason", "").strip()[:_LONGEST_REASON]
    try:
        verb.ask(found.pk, actor=actor_of(request), reason=reason or "asked for on the fleet page", now=timezone.now())
    except OperationRefused as refusal:
        messages.error(request, f"{verb.label} {found}: refused, {refusal.detail}.")
    else:
        messages.success(request, f"{found}: {verb.asked}.")


def _back(request: HttpRequest, instance_id: UUID) -> HttpResponseRedirect:
    if request.POST.get("back") == "fleet":
        return redirect("fleet")
    return HttpResponseRedirect(reverse("fleet-instance", args=[instance_id]))

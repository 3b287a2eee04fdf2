"""The verbs a person asks for on a page: what each brings about is said first; it ends as a notice where it was asked."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from instances.models import Instance
from instances.operations import OperationRefused
from instances.person_verbs import VERBS, PersonVerb
from instances.scopes import may, scope_of_verb
from instances.stakes import stakes_of
from instances.verb_words import consequence
from novita_manager.pages.access import actor_of, asked_from, needs, way_back

LONGEST_REASON = 500


@require_http_methods(["GET", "POST"])
@needs("operate")
def act(request: HttpRequest, instance_id: UUID, verb: str) -> HttpResponse:
    """GET says what the verb brings about and asks; POST asks for it and goes back. A delete needs the name typed."""
    chosen = VERBS.get(verb)
    found = Instance.objects.select_related("machine").defer("envs", "machine__connection").filter(pk=instance_id).first()
    if chosen is None or found is None:
        raise Http404
    if not may(request.user, scope_of_verb(verb)):
        raise PermissionDenied(f"your account lacks the permission to {verb} an instance")
    if request.method == "GET":
        told = consequence(verb, stakes_of(found))
        context = {"verb": chosen, "instance": found, "consequence": told, "back": asked_from(request)}
        return render(request, "fleet/ask.html", context)
    if verb == "delete" and request.POST.get("typed_name", "").strip() != str(found):
        messages.error(request, f"Not deleted: type {found} to delete it.")
    else:
        _ask(request, chosen, found)
    return way_back(request, reverse("fleet-instance", args=[instance_id]))


def _ask(request: HttpRequest, verb: PersonVerb, found: Instance) -> None:
    try:
        verb.ask(found.pk, actor=actor_of(request), reason=reason_of(request), now=timezone.now())
    except OperationRefused as refusal:
        messages.error(request, f"{verb.label} {found}: refused, {refusal.detail}.")
    else:
        messages.success(request, f"{found}: {verb.asked}.")


def reason_of(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()[:LONGEST_REASON] or "asked for on the fleet page"

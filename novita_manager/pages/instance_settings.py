"""The settings of an instance as a form. What is typed goes through the checks and the operation of the API's PATCH."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import ValidationError

from instances import operations
from instances.api import requests
from instances.api.creation import refuse_unfit_ports, settings_columns
from instances.api.representations import on_reclaim_json
from instances.api.times import duration_text
from instances.models import Instance
from instances.operations import OperationRefused
from novita_manager.pages import setting_inputs as settings
from novita_manager.pages.access import actor_of, needs
from novita_manager.pages.parts import instance_or_404
from novita_manager.pages.typed import (
    Input,
    Refused,
    body_of,
    fields_of,
    health_check_text,
    labels_text,
    moment_text,
    problems_of,
)

NAME = Input(name="name", label="Name", path=("name",), empty="", required=True)
# An owner can be changed, not taken away: the API says so of an empty one.
OWNER = replace(settings.OWNER, empty="")
REASON = Input(name="reason", label="Why", path=("reason",), hint="Goes into its story.")
GROUPS: tuple[tuple[str, tuple[Input, ...]], ...] = (
    ("Whose it is", (NAME, OWNER, settings.LABELS)),
    (
        "When it stops by itself",
        (settings.AUTO_STOP_MODE, settings.AUTO_STOP_THRESHOLD, settings.AUTO_STOP_POLICY, settings.STOP_AT),
    ),
    ("What is kept safe", (settings.PROTECTED, settings.LOCAL_DATA)),
    ("How it is watched", (settings.HEALTH_CHECK, settings.ON_STARTUP_TIMEOUT, settings.WEBHOOK)),
    ("When Novita takes it back", (settings.ON_NOTICE, settings.AFTER_RECLAIM)),
    ("When it has to be placed anew", (settings.MAX_PRICE, settings.FALLBACK)),
)
_NESTED = ("auto_stop", "on_reclaim")
INPUTS = (*(one for _, inputs in GROUPS for one in inputs), REASON)


@require_http_methods(["GET", "POST"])
@needs("operate")
def page(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    instance = instance_or_404(instance_id)
    if not instance.managed or instance.has_ended:
        state = f"it is {instance.phase}" if instance.has_ended else "it was not made here: adopt it first"
        messages.error(request, f"{instance} has no settings to change: {state}.")
        return _back(instance)
    if request.method == "GET":
        return _shown(request, instance, _typed(instance), [])
    refused = _change(request, instance, now=timezone.now())
    return _shown(request, instance, request.POST, refused) if refused else _back(instance)


def _change(request: HttpRequest, instance: Instance, *, now: datetime) -> list[Refused]:
    """Change what the person changed of what the form showed; what was refused, or nothing.

    So what somebody else has set meanwhile stays.
    """
    body, unreadable = body_of(INPUTS, request.POST)
    was = QueryDict(request.POST["was"]) if "was" in request.POST else _typed(instance)
    try:
        checked = _checked(_differing(body, body_of(INPUTS, was)[0]), instance, now)
        if unreadable:
            return unreadable
        changes = settings_columns(checked)
        operations.change_settings(instance.pk, changes, actor=actor_of(request), reason=checked.get("reason", ""), now=now)
    except ValidationError as refusal:
        return [*unreadable, *problems_of(refusal)]
    except OperationRefused as refusal:
        return [Refused(field=refusal.field, text=refusal.detail)]
    messages.success(request, f"{instance}: settings saved." if changes else f"{instance}: nothing was changed.")
    return []


def _checked(body: dict[str, Any], instance: Instance, now: datetime) -> dict[str, Any]:
    form = requests.Patch(data=body, context={"now": now})
    form.is_valid(raise_exception=True)
    checked: dict[str, Any] = form.validated_data
    refuse_unfit_ports(instance, checked)
    return checked


def _differing(body: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    """Only what was changed: a time that has passed, or a name from before there were rules, stays where it is."""
    found: dict[str, Any] = {}
    for name, value in body.items():
        inner = _differing(value, present.get(name, {})) if name in _NESTED else value
        if inner != present.get(name) and not (name in _NESTED and not inner):
            found[name] = inner
    return found


def _typed(instance: Instance) -> QueryDict:
    """What is set now, as a form would send it."""
    threshold, cap = instance.auto_stop_threshold, instance.max_price_usd_per_hour
    policy = on_reclaim_json(instance)
    typed = QueryDict(mutable=True)
    typed.update(
        {
            "name": instance.name,
            "owner": instance.owner,
            "labels": labels_text(instance.labels),
            "auto_stop_mode": instance.auto_stop_mode,
            "auto_stop_threshold": duration_text(threshold) if threshold else "",
            "auto_stop_policy": instance.auto_stop_policy,
            "stop_at": moment_text(instance.stop_at),
            "local_data": instance.local_data,
            "on_notice": policy["on_notice"],
            "after_reclaim": policy["after"],
            "health_check": health_check_text(instance.health_check),
            "on_startup_timeout": instance.on_startup_timeout,
            "webhook_url": instance.webhook_url,
            "max_price_usd_per_hour": f"{cap.normalize():f}" if cap is not None else "",
        }
    )
    for name in ("protected", "fallback_to_on_demand"):
        if getattr(instance, name):
            typed[name] = "on"
    return typed


def _shown(request: HttpRequest, instance: Instance, typed: QueryDict, refused: list[Refused]) -> HttpResponse:
    fields, errors = fields_of(INPUTS, typed, refused)
    groups = [(title, [fields[one.name] for one in inputs]) for title, inputs in GROUPS]
    was = typed.get("was") or typed.urlencode()
    context = {
        "refused_at_all": "Not saved." if refused else "",
        "instance": instance,
        "groups": groups,
        "reason": fields["reason"],
        "errors": errors,
        "was": was,
        "fields": fields.values(),
    }
    return render(request, "instance/settings.html", context)


def _back(instance: Instance) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("fleet-instance", args=[instance.pk]))

"""The page that creates: the API's own body, checks and dry run, typed into a form and answered in words."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST
from rest_framework.exceptions import ValidationError

from instances import operations
from instances.api import requests
from instances.api.creation import Plan, plan, refuse_taken_name
from instances.api.problems import Problem
from instances.models import Instance
from instances.operations import OperationRefused
from novita_manager.pages.access import actor_of, needs
from novita_manager.pages.creation_inputs import IMAGE, TEMPLATE_BY_ID, inputs_for, template_input
from novita_manager.pages.creation_preview import Preview, preview_of, product_choices, standing
from novita_manager.pages.typed import Input, Refused, body_of, fields_of, problems_of

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_FIRST_TYPED = {"gpu_num": "1", "billing_mode": "spot", "auto_stop_mode": "enforce", "health_check": "any"}
_REFUSED = {"create": "Nothing was created.", "preview": "A create would be refused like this."}
# What a preview puts in for what nobody has written yet, so that offers show as soon as a GPU is chosen.
_NOT_WRITTEN_YET = {"name": "preview", "image_url": "preview"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What came of checking a form: where it would run, and what was refused; neither while no GPU is chosen."""

    preview: Preview | None
    refused: tuple[Refused, ...]


@require_http_methods(["GET", "POST"])
@needs("create")
def page(request: HttpRequest) -> HttpResponse:
    """The form; by POST its preview, or the create itself."""
    now = timezone.now()
    if request.method == "GET":
        return _shown(request, _first_typed(request), now)
    if request.POST.get("do") != "create":
        found = _rehearse(request, now)
        return _shown(request, request.POST, now, found=found)
    made = _create(request, now)
    if isinstance(made, Instance):
        messages.success(request, f"{made}: asked for. This page follows it until it is ready.")
        return redirect("fleet-instance", made.pk)
    return _shown(request, request.POST, now, found=Rehearsal(preview=None, refused=tuple(map(_at_home, made))))


@require_POST
@needs("create")
def preview(request: HttpRequest) -> HttpResponse:
    """The preview alone, for the page's script: what was not written yet is no mistake here."""
    now = timezone.now()
    found = _rehearse(request, now) if request.POST.get("product_name") else Rehearsal(preview=None, refused=())
    context = {"found": _labelled(found, _inputs(request.POST)), "standing": standing(now), "now": now}
    return render(request, "create/preview.html", context)


def _rehearse(request: HttpRequest, now: datetime) -> Rehearsal:
    body, unreadable = body_of(_inputs(request.POST), request.POST)
    body.setdefault("name", _NOT_WRITTEN_YET["name"])
    if "template_id" not in body:
        body.setdefault("image_url", _NOT_WRITTEN_YET["image_url"])
    try:
        made = _plan(body, unreadable, request, now)
    except ValidationError as refusal:
        return Rehearsal(preview=None, refused=tuple(map(_at_home, (*unreadable, *problems_of(refusal)))))
    return Rehearsal(preview=preview_of(made), refused=tuple(_name_taken(body["name"])))


def _name_taken(name: str) -> list[Refused]:
    try:
        refuse_taken_name(name)
    except OperationRefused as refusal:
        return [Refused(field=refusal.field, text=refusal.detail)]
    return []


def _create(request: HttpRequest, now: datetime) -> Instance | list[Refused]:
    """The instance, or why there is none: refused as the API refuses it, field by field."""
    body, unreadable = body_of(_inputs(request.POST), request.POST)
    try:
        if isinstance(body.get("name"), str):
            refuse_taken_name(body["name"])
        made = _plan(body, unreadable, request, now)
        made.refuse_if_impossible()
        return operations.request_create(made.spec, actor=actor_of(request), reason="asked for on the create page", now=now)
    except ValidationError as refusal:
        return [*unreadable, *problems_of(refusal)]
    except Problem as problem:
        return [Refused(field=problem.field, text=str(problem.detail))]
    except OperationRefused as refusal:
        return [Refused(field=refusal.field, text=refusal.detail)]


def _plan(body: dict[str, Any], unreadable: list[Refused], request: HttpRequest, now: datetime) -> Plan:
    """The API's own checks and ranking. Raises ValidationError; an empty one where only a text could not be read."""
    form = requests.Create(data=body, context={"now": now})
    form.is_valid(raise_exception=True)
    if unreadable:
        raise ValidationError([])
    return plan(form.validated_data, owner=request.user.get_username(), now=now)


def _at_home(refused: Refused) -> Refused:
    """The form has one field for the region or the regions."""
    return Refused(field="regions", text=refused.text) if refused.field == "region" else refused


def _inputs(typed: QueryDict) -> tuple[Input, ...]:
    written = [TEMPLATE_BY_ID.name] if str(typed.get(TEMPLATE_BY_ID.name, "")).strip() else []
    return inputs_for(str(typed.get("source", "")), written)


def _first_typed(request: HttpRequest) -> QueryDict:
    """What the form begins with; a link may name the GPU and the template."""
    typed = QueryDict(mutable=True)
    typed.update({**_FIRST_TYPED, "name": proposed_name(request.user.get_username())})
    for name in ("product_name", "template_id"):
        if name in request.GET:
            typed[name] = request.GET[name]
    return typed


def proposed_name(username: str) -> str:
    """The user's name with the first number that no living instance has."""
    stem = _NOT_IN_NAMES.sub("-", username).strip("-.")[:40] or "box"
    living = Instance.objects.managed().not_ended().filter(name__istartswith=f"{stem}-").values_list("name", flat=True)
    taken = {name.casefold() for name in living}
    return next(name for number in range(1, len(taken) + 2) if (name := f"{stem}-{number}").casefold() not in taken)


def _shown(request: HttpRequest, typed: QueryDict, now: datetime, *, found: Rehearsal | None = None) -> HttpResponse:
    found = found or Rehearsal(preview=None, refused=())
    # Both sources of software are shown, whichever was chosen.
    inputs = _inputs(typed)
    shown = {one.name for one in inputs}
    inputs = (*inputs, *(one for one in (template_input(), TEMPLATE_BY_ID, IMAGE) if one.name not in shown))
    fields, errors = fields_of(inputs, typed, found.refused)
    context = {
        "fields": fields,
        "errors": errors,
        "refused_at_all": _REFUSED.get(str(typed.get("do")), "") if found.refused else "",
        "source": "image" if typed.get("source") == "image" else "template",
        "products": product_choices(),
        "standing": standing(now),
        "found": _labelled(found, inputs),
        "now": now,
    }
    return render(request, "create/page.html", context)


def _labelled(found: Rehearsal, inputs: tuple[Input, ...]) -> dict[str, Any]:
    """The rehearsal with refusals under the labels of their fields."""
    fields, errors = fields_of(inputs, QueryDict(), found.refused)
    refused = [(field.input.label, text) for field in fields.values() for text in field.errors]
    return {"preview": found.preview, "refused": [*refused, *(("", text) for text in errors)]}

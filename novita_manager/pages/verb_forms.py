"""What a person asks for on an instance's page beyond a bare verb: an adoption under a name, an image, a job's end."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST
from rest_framework import serializers

from instances import operations
from instances.api import requests
from instances.models import Instance, Job
from instances.operations import OperationRefused, name_to_propose
from instances.scopes import may
from novita_manager.pages import acts
from novita_manager.pages.access import actor_of, needs, way_back
from novita_manager.pages.job_lines import scope_of_job
from novita_manager.pages.parts import instance_or_404
from novita_manager.pages.typed import problems_of

_LONGEST_REASON = 500
_NOT_ASKED = ("reason", "dry_run")  # of the contract's form: the first is given apart, a page asks in earnest
_CONTROLS: dict[str, tuple[Callable[..., Job], str]] = {
    "cancel": (operations.cancel_job, "cancelled"),
    "retry": (operations.retry_job, "is tried again"),
}


@require_http_methods(["GET", "POST"])
@needs("create")
def adopt(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """GET asks first, as for any verb. Under the name that was written, else under the proposed one."""
    if request.method == "GET":
        return acts.act(request, instance_id, "adopt")
    instance = instance_or_404(instance_id)
    body = {"name": request.POST.get("name", "").strip() or name_to_propose(instance)}
    return _ask(
        request,
        instance,
        requests.Adopt(data=body),
        lambda name, **asked: operations.adopt(instance.pk, name=name, settings={}, **asked),
        label="Adopt",
        asked="adopted; auto-stop only observes it",
    )


@require_POST
@needs("operate")
def save_image(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    instance = instance_or_404(instance_id)
    body = {name: request.POST.get(name, "").strip() for name in ("image", "registry_auth_id")}
    return _ask(
        request,
        instance,
        requests.SaveImage(data=body),
        lambda image, registry_auth_id, **asked: operations.request_save_image(
            instance.pk, image=image, registry_auth_id=registry_auth_id, **asked
        ),
        label="Save as image",
        asked="asked to save its image",
    )


@require_POST
@needs("read")
def control_job(request: HttpRequest, instance_id: UUID, job_id: UUID, control: str) -> HttpResponse:
    """Cancel a job that was not sent yet, or try a failed one again."""
    job = Job.objects.filter(pk=job_id, instance_id=instance_id).first()
    if job is None or control not in _CONTROLS:
        raise Http404
    if not may(request.user, scope_of_job(job.verb)):
        raise PermissionDenied(f"your account lacks the permission to {control} this job")
    ask, done = _CONTROLS[control]
    label = f"The {job.verb.replace('_', ' ')} job"
    try:
        ask(job.pk, actor=actor_of(request), reason=f"{control} on its page", now=timezone.now())
    except OperationRefused as refusal:
        messages.error(request, f"{label}: refused, {refusal.detail}.")
    else:
        messages.success(request, f"{label} {done}.")
    return HttpResponseRedirect(reverse("fleet-instance", args=[instance_id]))


def _ask(
    request: HttpRequest,
    instance: Instance,
    form: serializers.Serializer[Any],
    ask: Callable[..., object],
    *,
    label: str,
    asked: str,
) -> HttpResponse:
    """Ask with the checked answers; a refusal of theirs or of the operation is told where the person comes back to."""
    reason = request.POST.get("reason", "").strip()[:_LONGEST_REASON]
    try:
        form.is_valid(raise_exception=True)
        answers = {name: value for name, value in form.validated_data.items() if name not in _NOT_ASKED}
        ask(**answers, actor=actor_of(request), reason=reason or "asked for on its page", now=timezone.now())
    except serializers.ValidationError as refusal:
        messages.error(request, f"{label} {instance}: {'; '.join(one.text for one in problems_of(refusal))}.")
    except OperationRefused as refusal:
        messages.error(request, f"{label} {instance}: refused, {refusal.detail}.")
    else:
        messages.success(request, f"{instance}: {asked}.")
    return way_back(request, reverse("fleet-instance", args=[instance.pk]))

"""Instances over HTTP: what there is, creating one, its settings, and the verbs people may ask for."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from instances import operations
from instances.api import requests, shapes
from instances.api.access import AccessMixin
from instances.api.bulk import BulkMixin
from instances.api.creation import (
    placement_json,
    plan,
    refuse_taken_name,
    refused_field,
    settings_columns,
)
from instances.api.filters import InstanceFilter
from instances.api.problems import Problem
from instances.api.references import find
from instances.api.representations import instance_json
from instances.api.times import rfc3339
from instances.api.viewsets import ApiViewSet, actor_of, owner_of
from instances.lifecycle import ENDED_PHASES
from instances.models import Instance, ProviderAccount
from instances.operations import Unmanaged, WrongPhase
from instances.webhooks import endpoints

_CLOCKS_MAY_DIFFER = timedelta(seconds=5)
_CATALOGUE_RETRY_SECONDS = 5
_DRY_RUN = OpenApiParameter("dry_run", bool, description="Answer 200 with the ranked placement and change nothing")


class InstanceViewSet(BulkMixin, AccessMixin, ApiViewSet):
    queryset = Instance.objects.all()
    serializer_class = shapes.InstanceShape
    filterset_class = InstanceFilter
    lookup_field = "ref"
    lookup_value_regex = "[^/]+"
    scopes = {
        "list": "read",
        "retrieve": "read",
        "events": "read",
        "metrics": "read",
        "connection": "read",
        "logs": "secrets",
        "create": "create",
        "destroy": "create",
        "adopt": "create",
        "release": "create",
        "partial_update": "operate",
        "start": "operate",
        "stop": "operate",
        "restart": "operate",
        "migrate": "operate",
        "save_image": "operate",
        "last_used": "operate",
        "stop_all": "operate",
        "bulk": "operate",
    }
    budgets = {"last_used": "last_used"}

    def list(self, request: Request) -> Response:
        rows = self.filter_queryset(Instance.objects.for_display())
        account = ProviderAccount.objects.filter(pk=1).first()
        return self.listed(rows, lambda one: instance_json(one, now=self.now, account=account))

    def retrieve(self, request: Request, ref: str) -> Response:
        return self._shown(self._named(ref))

    @extend_schema(request=requests.Create, responses={202: shapes.InstanceWithSecretShape}, parameters=[_DRY_RUN])
    def create(self, request: Request) -> Response:
        body = self.body(requests.Create)
        dry_run = flag_of(request, "dry_run")
        if not dry_run:
            refuse_taken_name(body["name"])
        made = plan(body, owner=owner_of(request), now=self.now)
        if dry_run:
            if made.placement is None:
                raise Problem(
                    "Novita's products have not been read yet",
                    code="catalogue_not_loaded",
                    status=503,
                    retry_after=_CATALOGUE_RETRY_SECONDS,
                )
            return Response(placement_json(made.placement))
        made.refuse_if_impossible()

        def act() -> Response:
            instance = operations.request_create(made.spec, actor=actor_of(request), reason="", now=self.now)
            location = reverse("instance-detail", kwargs={"ref": str(instance.pk)})
            return self._with_new_secret(self._shown(instance, status=202, headers={"Location": location}), instance)

        return self.commit(act)

    @extend_schema(
        request=requests.Patch, responses={200: shapes.InstanceWithSecretShape, 202: shapes.InstanceWithSecretShape}
    )
    def partial_update(self, request: Request, ref: str) -> Response:
        instance = self._named(ref)
        body = self.body(requests.Patch)
        _refuse_unfit_ports(instance, body)
        settings, reason = settings_columns(body), body.get("reason", "")
        edits = {name: body[name] for name in ("ports", "expand_rootfs_gb") if name in body}
        actor = actor_of(request)
        with transaction.atomic():
            changed = operations.change_settings(instance.pk, settings, actor=actor, reason=reason, now=self.now)
            if edits:
                operations.request_edit(instance.pk, **edits, actor=actor, reason=reason, now=self.now)
            answer = self._shown(instance, status=202 if edits else 200)
            return self._with_new_secret(answer, changed) if "webhook_url" in settings else answer

    @extend_schema(responses={202: shapes.InstanceShape})
    def destroy(self, request: Request, ref: str) -> Response:
        return self._ask(ref, operations.request_delete)

    @extend_schema(request=requests.Act, responses={202: shapes.InstanceShape})
    @action(detail=True, methods=["post"])
    def start(self, request: Request, ref: str) -> Response:
        return self._ask(ref, operations.request_start)

    @extend_schema(request=requests.Act, responses={202: shapes.InstanceShape})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, ref: str) -> Response:
        return self._ask(ref, operations.request_stop)

    @extend_schema(request=requests.Act, responses={202: shapes.InstanceShape})
    @action(detail=True, methods=["post"])
    def restart(self, request: Request, ref: str) -> Response:
        return self._ask(ref, operations.request_restart)

    @extend_schema(request=requests.Act, responses={202: shapes.InstanceShape})
    @action(detail=True, methods=["post"])
    def migrate(self, request: Request, ref: str) -> Response:
        return self._ask(ref, operations.request_migrate)

    @extend_schema(request=requests.Act, responses={202: shapes.InstanceShape})
    @action(detail=True, methods=["post"])
    def release(self, request: Request, ref: str) -> Response:
        return self._ask(ref, operations.release)

    @extend_schema(request=requests.Adopt, responses={202: shapes.InstanceShape})
    @action(detail=True, methods=["post"])
    def adopt(self, request: Request, ref: str) -> Response:
        instance = self._named(ref)
        body = self.body(requests.Adopt)
        name = body.get("name") or instance.name
        if not requests.NAME_SHAPE.fullmatch(name):
            raise refused_field("name", "required", f"its name at Novita, {name!r}, cannot be kept: write another")
        settings = settings_columns(body)
        settings.pop("name", None)

        def act() -> Response:
            operations.adopt(
                instance.pk,
                name=name,
                settings=settings,
                actor=actor_of(request),
                reason=body["reason"],
                now=self.now,
            )
            return self._shown(instance, status=202)

        return self.commit(act)

    @extend_schema(request=requests.SaveImage, responses={202: shapes.InstanceShape})
    @action(detail=True, methods=["post"], url_path="save-image")
    def save_image(self, request: Request, ref: str) -> Response:
        return self._ask(ref, operations.request_save_image, form=requests.SaveImage)

    @extend_schema(request=requests.LastUsed, responses={200: shapes.LastUsedShape})
    @action(detail=True, methods=["put"], url_path="last-used")
    def last_used(self, request: Request, ref: str) -> Response:
        """Tell that it is in use. Only ever moves forward; an older time changes nothing."""
        at = self.body(requests.LastUsed).get("last_used_at", self.now)
        if at > self.now + _CLOCKS_MAY_DIFFER:
            raise refused_field("last_used_at", "in_the_future", "it is more than 5 s ahead of our clock")
        at = min(at, self.now)
        instance = find(ref)
        if not instance.managed:
            raise Unmanaged("it was not made here and is left alone: adopt it first")
        if instance.phase in ENDED_PHASES:
            raise WrongPhase(f"it is {instance.phase}: nothing uses it")
        stored = instance.last_used_at
        if stored is None or stored < at:
            moved = operations.record_use(instance.pk, at=at, actor=actor_of(request), now=self.now)
            stored = at if moved else max(at, stored or at)
        return Response({"id": str(instance.pk), "name": instance.name, "last_used_at": rfc3339(stored)})

    def _with_new_secret(self, answer: Response, instance: Instance) -> Response:
        """The answer alone shows the secret that was made for the instance's `webhook_url`."""
        secret = endpoints.new_secret_of(instance, now=self.now)
        if secret:
            answer.data["webhook_secret"] = secret
        return answer

    def _named(self, ref: str) -> Instance:
        return find(ref)

    def _ask(self, ref: str, verb: Callable[..., Any], *, form: Any = requests.Act) -> Response:
        instance = self._named(ref)
        body = self.body(form)

        def act() -> Response:
            verb(instance.pk, actor=actor_of(self.request), now=self.now, **body)
            return self._shown(instance, status=202)

        return self.commit(act)

    def _shown(self, instance: Instance, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        fresh = Instance.objects.for_display().get(pk=instance.pk)
        account = ProviderAccount.objects.filter(pk=1).first()
        return Response(instance_json(fresh, now=self.now, account=account), status=status, headers=headers)


def flag_of(request: Request, name: str) -> bool:
    """A true or false of the query; raises ValidationError for anything else."""
    text = request.query_params.get(name, "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise ValidationError({name: ["write true or false"]}, "invalid")
    return text in ("true", "1")


def _refuse_unfit_ports(instance: Instance, body: dict[str, Any]) -> None:
    """Ports and health checks of a change must fit what is not changed."""
    if "ports" not in body and not body.get("health_check"):
        return
    ports = body.get("ports", (instance.machine.ports if instance.machine else None) or instance.ports)
    check = body.get("health_check", instance.health_check)
    requests.refuse_port_conflicts(ports, instance.tools, check)

"""Instances over HTTP: what there is, creating one, its settings, and the verbs people may ask for."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import Http404, HttpResponse
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from instances import operations
from instances.api import requests, shapes
from instances.api.access import AccessMixin
from instances.api.adoption import AdoptionMixin
from instances.api.bulk import BulkMixin
from instances.api.creation import (
    CATALOGUE_RETRY_SECONDS,
    placement_json,
    plan,
    refuse_taken_name,
    refuse_unfit_ports,
    refused_field,
    settings_columns,
)
from instances.api.detail_shapes import PlacementShape
from instances.api.filters import InstanceFilter
from instances.api.kept import Made, kept_or_made
from instances.api.pieces import page_json, piece_of
from instances.api.problems import Problem
from instances.api.references import find, find_to_change, own_id
from instances.api.representations import instance_json
from instances.api.times import rfc3339
from instances.api.viewsets import ApiViewSet, actor_of, caller_of, owner_of
from instances.models import Instance, ProviderAccount
from instances.webhooks import endpoints

_CLOCKS_MAY_DIFFER = timedelta(seconds=5)
_DRY_RUN = OpenApiParameter("dry_run", bool, description="Answer 200 with the ranked placement and change nothing")


class InstanceViewSet(AdoptionMixin, BulkMixin, AccessMixin, ApiViewSet):
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
    stored_by_nobody = frozenset({"connection", "logs"})

    def list(self, request: Request) -> HttpResponse:
        return kept_or_made(request, self._page)

    def retrieve(self, request: Request, ref: str) -> HttpResponse:
        def make(_: Any) -> Made:
            instance = find(ref, Instance.objects.for_display())
            account = ProviderAccount.objects.filter(pk=1).first()
            piece = piece_of(instance, now=self.now)
            observed = piece.observed(account)
            return Made(piece.whole(now=self.now, observed=observed), piece.digest + observed)

        return kept_or_made(request, make)

    def _page(self, version: Any) -> Made:
        filtered: Any = self.filter_queryset(Instance.objects.all())
        results, digest = page_json(filtered, lambda rows: self.paginate_queryset(rows) or [], version=version, now=self.now)
        frame: Any = self.get_paginated_response([]).data
        head = json.dumps({name: value for name, value in frame.items() if name != "results"}).encode()
        return Made(head[:-1] + b',"results":' + results + b"}", head + digest)

    @extend_schema(
        request=requests.Create,
        responses={200: PlacementShape, 202: shapes.InstanceWithSecretShape},
        parameters=[_DRY_RUN],
    )
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
                    retry_after=CATALOGUE_RETRY_SECONDS,
                )
            return Response(placement_json(made.placement))
        made.refuse_if_impossible()

        def act() -> Response:
            with transaction.atomic():
                spec = made.admitted(caller_of(request).allowance())
                instance = operations.request_create(spec, actor=actor_of(request), reason="", now=self.now)
            location = reverse("instance-detail", kwargs={"ref": str(instance.pk)})
            return self._with_new_secret(self._shown(instance, status=202, headers={"Location": location}), instance)

        return self.commit(act)

    @extend_schema(
        request=requests.Patch, responses={200: shapes.InstanceWithSecretShape, 202: shapes.InstanceWithSecretShape}
    )
    def partial_update(self, request: Request, ref: str) -> Response:
        instance = find_to_change(ref)
        body = self.body(requests.Patch)
        refuse_unfit_ports(instance, body)
        settings, reason = settings_columns(body), body.get("reason", "")
        edits = {name: body[name] for name in ("ports", "expand_rootfs_gb") if name in body}
        actor, allowance = actor_of(request), caller_of(request).allowance()
        with transaction.atomic():
            changed = operations.change_settings(
                instance.pk, settings, actor=actor, reason=reason, now=self.now, allowance=allowance
            )
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
        return self._ask(ref, self._start)

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

    @extend_schema(request=requests.SaveImage, responses={202: shapes.InstanceShape})
    @action(detail=True, methods=["post"], url_path="save-image")
    def save_image(self, request: Request, ref: str) -> Response:
        return self._ask(ref, operations.request_save_image, form=requests.SaveImage)

    @extend_schema(request=requests.LastUsed, responses={200: shapes.LastUsedShape})
    @action(detail=True, methods=["put"], url_path="last-used")
    def last_used(self, request: Request, ref: str) -> HttpResponse:
        """Tell that it is in use. Only ever moves forward; an older time changes nothing."""
        body = self.body(requests.LastUsed) if request.data else {}
        at = body.get("last_used_at", self.now)
        if at > self.now + _CLOCKS_MAY_DIFFER:
            raise refused_field("last_used_at", "in_the_future", "it is more than 5 s ahead of our clock")
        at = min(at, self.now)
        # By a former machine's id too: what goes on after a move may still report under the id it began with.
        instance_id = own_id(ref) or find(ref).pk
        try:
            used = operations.record_use(instance_id, at=at, actor=actor_of(request), now=self.now)
        except Instance.DoesNotExist:
            raise Http404("there is no such instance") from None
        stored = {"id": str(instance_id), "name": used.name, "last_used_at": rfc3339(used.last_used_at)}
        # Without a renderer, as the lists: of all changes this one is asked most.
        return HttpResponse(json.dumps(stored, ensure_ascii=False, separators=(",", ":")), content_type="application/json")

    def _start(self, instance_id: UUID, **asked: Any) -> Instance:
        with transaction.atomic():
            operations.admit_running(caller_of(self.request).allowance(), Instance.objects.get(pk=instance_id))
            return operations.request_start(instance_id, **asked)

    def _with_new_secret(self, answer: Response, instance: Instance) -> Response:
        """The answer alone shows the secret that was made for the instance's `webhook_url`."""
        secret = endpoints.new_secret_of(instance, now=self.now)
        if secret:
            answer.data["webhook_secret"] = secret
        return answer

    def _ask(self, ref: str, verb: Callable[..., Any], *, form: Any = requests.Act) -> Response:
        instance = find_to_change(ref)
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

"""Taking what was found at Novita into our care: one, or many at once, rehearsed or in earnest."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from instances import operations
from instances.api import requests, shapes
from instances.api.creation import settings_columns
from instances.api.references import find_to_change
from instances.api.representations import instance_json
from instances.api.viewsets import ApiViewSet, actor_of
from instances.automation_words import automation_of
from instances.models import Instance, ProviderAccount


class AdoptionMixin(ApiViewSet):
    @extend_schema(request=requests.Adopt, responses={200: shapes.AdoptedShape, 202: shapes.AdoptedShape})
    @action(detail=True, methods=["post"])
    def adopt(self, request: Request, ref: str) -> Response:
        """Make it managed. Nothing is sent to Novita; `automation` says what rules may do with it from now on.

        By default it is wanted as it is, auto-stop observes, its idle clock starts now and its local data is precious.
        """
        instance = find_to_change(ref)
        body = self.body(requests.Adopt)
        dry_run = body["dry_run"]

        def act() -> Response:
            with transaction.atomic():
                operations.adopt(
                    instance.pk,
                    name=body.get("name", ""),
                    settings=adoption_settings(body),
                    actor=actor_of(request),
                    reason=body["reason"],
                    now=self.now,
                )
                fresh = Instance.objects.for_display().get(pk=instance.pk)
                account = ProviderAccount.objects.filter(pk=1).first()
                shown = instance_json(fresh, now=self.now, account=account)
                if dry_run:
                    transaction.set_rollback(True)
            answer = {**shown, "dry_run": dry_run, "automation": automation_of(fresh)}
            return Response(answer, status=200 if dry_run else 202)

        return self.commit(act)


def adoption_settings(body: dict[str, Any]) -> dict[str, Any]:
    """Columns of the settings a body names, but for the name."""
    return {column: value for column, value in settings_columns(body).items() if column != "name"}


def adopting(body: dict[str, Any], ref: str) -> Callable[..., Instance]:
    """How one of many is adopted, under the name the body gives it."""
    return partial(
        operations.adopt,
        name=body.get("names", {}).get(ref, ""),
        settings=adoption_settings(body.get("settings", {})),
        take_proposed=body.get("take_proposed_names", False),
    )

"""Webhooks over HTTP: who is told, with which secret, and every delivery attempt by attempt. To read, or to administer."""

from typing import Any

import django_filters
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from instances.api import requests, webhook_forms
from instances.api.filters import FlagFilter, WordsFilter
from instances.api.pagination import NewestCreatedFirst
from instances.api.viewsets import ApiViewSet, actor_of, may, owner_of
from instances.api.webhook_json import delivery_detail_json, delivery_json, webhook_json
from instances.models import Delivery, WebhookEndpoint
from instances.models.webhook import DeliveryState, WebhookFormat, WebhookSource
from instances.webhooks import deliveries, endpoints
from instances.webhooks.payloads import test_body

_ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class WebhookFilter(django_filters.FilterSet):  # type: ignore[misc]
    format = django_filters.ChoiceFilter(choices=WebhookFormat.choices)
    declared_in = django_filters.ChoiceFilter(field_name="source", choices=WebhookSource.choices)
    enabled = FlagFilter()
    instance_id = django_filters.UUIDFilter()


class DeliveryFilter(django_filters.FilterSet):  # type: ignore[misc]
    state = WordsFilter(choices=DeliveryState.choices)
    type = django_filters.CharFilter(max_length=60)
    event_id = django_filters.NumberFilter(min_value=0, max_value=2**63 - 1)
    instance_id = django_filters.UUIDFilter(field_name="event__instance_id")


class WebhookViewSet(ApiViewSet):
    queryset = WebhookEndpoint.objects.all()
    serializer_class = webhook_forms.WebhookShape
    filterset_class = WebhookFilter
    lookup_field = "id"
    lookup_value_regex = _ID
    scopes = {
        "list": "read",
        "retrieve": "read",
        "deliveries": "read",
        "create": "admin",
        "partial_update": "admin",
        "destroy": "admin",
        "rotate_secret": "admin",
        "test": "admin",
    }

    def list(self, request: Request) -> Response:
        return self.listed(self.filter_queryset(self.get_queryset()), self._json)

    def retrieve(self, request: Request, id: str) -> Response:  # noqa: A002 - the name of the address's part
        return Response(self._json(_endpoint(id)))

    @extend_schema(request=webhook_forms.WebhookCreate, responses={201: webhook_forms.WebhookSecretShape})
    def create(self, request: Request) -> Response:
        """The answer alone shows the secret that signs."""
        body = self.body(webhook_forms.WebhookCreate)
        columns = webhook_forms.columns_of(body, format_=body["format"])
        columns.setdefault("owner", owner_of(request))
        if columns["format"] != WebhookFormat.STANDARD:
            columns.setdefault("digest_at", endpoints.DIGEST_AT)

        def act() -> Response:
            made = endpoints.create(columns, actor=actor_of(request), now=self.now)
            return Response({**self._json(made.endpoint), "secret": made.secret}, status=201)

        return self.commit(act)

    @extend_schema(request=webhook_forms.WebhookPatch)
    def partial_update(self, request: Request, id: str) -> Response:  # noqa: A002
        endpoint = _endpoint(id)
        columns = webhook_forms.columns_of(self.body(webhook_forms.WebhookPatch), format_=endpoint.format)
        return Response(self._json(endpoints.change(endpoint, columns, actor=actor_of(request), now=self.now)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, id: str) -> Response:  # noqa: A002
        endpoints.delete(_endpoint(id), actor=actor_of(request), now=self.now)
        return Response(status=204)

    @extend_schema(request=webhook_forms.Rotate, responses=webhook_forms.WebhookSecretShape)
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, id: str) -> Response:  # noqa: A002
        """A new secret, shown in this answer alone; the one before signs too for `overlap` (24h)."""
        endpoint, body = _endpoint(id), self.body(webhook_forms.Rotate)

        def act() -> Response:
            made = endpoints.rotate_secret(endpoint, overlap=body["overlap"], actor=actor_of(request), now=self.now)
            return Response({**self._json(made.endpoint), "secret": made.secret})

        return self.commit(act)

    @extend_schema(request=requests.Act, responses={202: webhook_forms.DeliveryShape})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, id: str) -> Response:  # noqa: A002
        """Send a `webhook.test`, or a message that says it is a test."""
        endpoint, actor = _endpoint(id), actor_of(request)
        self.body(requests.Act)
        body = "" if endpoint.is_for_people else test_body(endpoint, asked_by=actor.name, now=self.now)

        def act() -> Response:
            delivery = deliveries.request_test(endpoint, body, actor=actor, now=self.now)
            return Response(delivery_json(delivery), status=202)

        return self.commit(act)

    @extend_schema(responses=webhook_forms.DeliveryShape(many=True), filters=True)
    @action(detail=True, pagination_class=NewestCreatedFirst, filterset_class=DeliveryFilter)
    def deliveries(self, request: Request, id: str) -> Response:  # noqa: A002
        rows = Delivery.objects.filter(endpoint=_endpoint(id)).select_related("event")
        return self.listed(self.filter_queryset(rows), delivery_json)

    def _json(self, endpoint: WebhookEndpoint) -> dict[str, Any]:
        return webhook_json(endpoint, whole=may(self.request, "admin"))


class DeliveryViewSet(ApiViewSet):
    queryset = Delivery.objects.select_related("event", "endpoint")
    serializer_class = webhook_forms.DeliveryShape
    filterset_class = DeliveryFilter
    pagination_class = NewestCreatedFirst
    lookup_field = "id"
    lookup_value_regex = _ID
    scopes = {"list": "read", "retrieve": "read", "redeliver": "admin"}

    @extend_schema(operation_id="webhook_deliveries_list")
    def list(self, request: Request) -> Response:
        return self.listed(self.filter_queryset(self.get_queryset()), delivery_json)

    @extend_schema(operation_id="webhook_deliveries_get", responses=webhook_forms.DeliveryDetailShape)
    def retrieve(self, request: Request, id: str) -> Response:  # noqa: A002
        return Response(delivery_detail_json(_delivery(id)))

    @extend_schema(
        operation_id="webhook_deliveries_redeliver", request=requests.Act, responses={202: webhook_forms.DeliveryShape}
    )
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, id: str) -> Response:  # noqa: A002
        """Send it again, with the same id and body; of one told in another message, that message."""
        delivery = _delivery(id)
        self.body(requests.Act)

        def act() -> Response:
            again = deliveries.redeliver(delivery, actor=actor_of(request), now=self.now)
            return Response(delivery_json(again), status=202)

        return self.commit(act)


def _endpoint(endpoint_id: str) -> WebhookEndpoint:
    found = WebhookEndpoint.objects.filter(pk=endpoint_id).first()
    if found is None:
        raise Http404("there is no such webhook")
    return found


def _delivery(delivery_id: str) -> Delivery:
    found = Delivery.objects.select_related("event", "endpoint").filter(pk=delivery_id).first()
    if found is None:
        raise Http404("there is no such delivery")
    return found

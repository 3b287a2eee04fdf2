"""The routes under /api/v1. A trailing slash is taken off before they are asked."""

from typing import Any

from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from autostop import api as autostop
from instances.api.instances import InstanceViewSet
from instances.api.jobs import EventViewSet, JobViewSet
from instances.api.offers import ProductViewSet, RegionViewSet, TemplateViewSet
from instances.api.oversight import AlarmViewSet, AutomationViewSet
from instances.api.viewsets import ApiViewSet
from instances.api.webhooks import DeliveryViewSet, WebhookViewSet
from novita_manager.explain import Explain
from novita_manager.idempotency import Replayed
from sync import api as sync

_VIEWSETS: dict[str, type[ApiViewSet]] = {
    "instances": InstanceViewSet,
    "jobs": JobViewSet,
    "events": EventViewSet,
    "products": ProductViewSet,
    "regions": RegionViewSet,
    "templates": TemplateViewSet,
    "alarms": AlarmViewSet,
    "webhooks/deliveries": DeliveryViewSet,
    "webhooks": WebhookViewSet,
}

_BASENAMES = {"webhooks/deliveries": "webhook-delivery"}


def _replayed(viewset: type[ApiViewSet]) -> Any:
    """The viewset with Idempotency-Key honoured at each of its POSTs."""
    return type(viewset.__name__, (Replayed, viewset), {"__doc__": viewset.__doc__, "__module__": viewset.__module__})


_router = SimpleRouter(trailing_slash=False)
for _prefix, _viewset in _VIEWSETS.items():
    _router.register(_prefix, _replayed(_viewset), basename=_BASENAMES.get(_prefix, _prefix.removesuffix("s")))

_automation = AutomationViewSet.as_view({"get": "retrieve", "put": "update", "delete": "destroy"})

urlpatterns: list[URLPattern | URLResolver] = [
    path("instances/<str:ref>/explain", Explain.as_view(), name="instance-explain"),
    path("automation", _automation, name="automation"),
    path("", include(autostop.urlpatterns)),
    path("", include(sync.urlpatterns)),
    *_router.urls,
]

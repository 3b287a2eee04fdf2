"""The routes under /api/v1. A trailing slash is taken off before they are asked."""

from collections.abc import Iterable
from typing import Any

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from autostop import api as autostop
from instances.api.costs import CostsView
from instances.api.instances import InstanceViewSet
from instances.api.jobs import EventViewSet, JobViewSet
from instances.api.offers import ProductViewSet, RegionViewSet, TemplateViewSet
from instances.api.oversight import AlarmViewSet, AutomationViewSet
from instances.api.viewsets import ApiViewSet
from instances.api.webhooks import DeliveryViewSet, WebhookViewSet
from novita_manager.explain import Explain
from novita_manager.idempotency import Replayed
from sync import api as sync
from sync import reclaim_api as reclaims

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


def _replayed(view: type[APIView]) -> Any:
    """The view with Idempotency-Key honoured at each of its POSTs."""
    return type(view.__name__, (Replayed, view), {"__doc__": view.__doc__, "__module__": view.__module__})


def _routes_of(room: Iterable[URLPattern]) -> list[URLPattern]:
    """The routes of a room, their views replayed as well."""
    routes: list[URLPattern] = []
    for route in room:
        view: Any = route.callback
        if hasattr(view.cls, "post"):
            view = _replayed(view.cls).as_view(**view.initkwargs)
        routes.append(URLPattern(route.pattern, view, route.default_args, route.name))
    return routes


_router = SimpleRouter(trailing_slash=False)
for _prefix, _viewset in _VIEWSETS.items():
    _router.register(_prefix, _replayed(_viewset), basename=_BASENAMES.get(_prefix, _prefix.removesuffix("s")))

_automation = AutomationViewSet.as_view({"get": "retrieve", "put": "update", "delete": "destroy"})

# The instances come first, since they are asked most.
urlpatterns: list[URLPattern | URLResolver] = [
    *_router.urls,
    path("instances/<str:ref>/explain", Explain.as_view(), name="instance-explain"),
    path("automation", _automation, name="automation"),
    path("costs", CostsView.as_view(), name="costs"),
    *_routes_of(autostop.urlpatterns),
    *_routes_of(sync.urlpatterns),
    *_routes_of(reclaims.urlpatterns),
]

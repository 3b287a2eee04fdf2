"""Every address. The API's own routes stand in `api`."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from novita_manager import api, errors, health, schema
from novita_manager.pages import acts, beat, fleet, instance, keep

urlpatterns: list[URLPattern | URLResolver] = [
    path("", fleet.page, name="fleet"),
    path("fleet/rows", fleet.live, name="fleet-rows"),
    path("fleet/<uuid:instance_id>", instance.page, name="fleet-instance"),
    path("fleet/<uuid:instance_id>/rows", instance.live, name="fleet-instance-rows"),
    path("fleet/<uuid:instance_id>/<slug:verb>", acts.act, name="fleet-act"),
    path("keep/<str:token>", keep.page, name="keep"),
    path("heartbeat/<str:token>", beat.beat, name="heartbeat"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api.urlpatterns)),
    path("api/schema", schema.Schema.as_view(), name="schema"),
    path("api/docs", schema.Docs.as_view(url_name="schema"), name="docs"),
    path("health", health.Health.as_view(), name="health"),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error

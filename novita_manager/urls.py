"""Every address. The API's own routes stand in `api`."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from novita_manager import api, errors, health, schema
from novita_manager.pages import acts, fleet, instance, sign_in

urlpatterns: list[URLPattern | URLResolver] = [
    path("", fleet.page, name="fleet"),
    path("fleet/rows", fleet.live, name="fleet-rows"),
    path("fleet/<uuid:instance_id>", instance.page, name="fleet-instance"),
    path("fleet/<uuid:instance_id>/rows", instance.live, name="fleet-instance-rows"),
    path("fleet/<uuid:instance_id>/<slug:verb>", acts.act, name="fleet-act"),
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("password", sign_in.password, name="password"),
    # One way in and out for the pages and the admin.
    path("admin/login/", sign_in.admin_door),
    path("admin/logout/", sign_in.sign_out),
    path("admin/password_change/", RedirectView.as_view(pattern_name="password")),
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

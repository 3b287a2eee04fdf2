"""Every address. The API's own routes stand in `api`."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from novita_manager import api, errors, health, schema
from novita_manager.metrics.page import Metrics
from novita_manager.pages import (
    acts,
    automation,
    beat,
    charts,
    connection,
    creation,
    fleet,
    instance,
    instance_settings,
    keep,
    keeping,
    many,
    rehearsals,
    sign_in,
    verb_forms,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include(api.urlpatterns)),  # first, since it is asked most: each one above costs every request
    path("", fleet.page, name="fleet"),
    path("fleet/rows", fleet.live, name="fleet-rows"),
    path("fleet/<uuid:instance_id>", instance.page, name="fleet-instance"),
    path("fleet/<uuid:instance_id>/rows", instance.live, name="fleet-instance-rows"),
    path("fleet/<uuid:instance_id>/story", instance.older, name="instance-story"),
    path("fleet/<uuid:instance_id>/utilisation", charts.utilisation, name="instance-utilisation"),
    path("fleet/<uuid:instance_id>/cost", charts.cost, name="instance-cost"),
    path("fleet/<uuid:instance_id>/reveal", connection.reveal, name="instance-reveal"),
    path("fleet/<uuid:instance_id>/log", connection.log, name="instance-log"),
    path("fleet/<uuid:instance_id>/settings", instance_settings.page, name="instance-settings"),
    path("fleet/<uuid:instance_id>/jobs/<uuid:job_id>/<slug:control>", verb_forms.control_job, name="instance-job"),
    path("fleet/<uuid:instance_id>/adopt", verb_forms.adopt, name="instance-adopt"),
    path("fleet/<uuid:instance_id>/keep", keeping.keep, name="keep-on-page"),
    path("fleet/<uuid:instance_id>/end-keep", keeping.end, name="end-keep-on-page"),
    path("fleet/<uuid:instance_id>/save-image", verb_forms.save_image, name="instance-save-image"),
    path("stop-all", many.stop_all, name="stop-all"),
    path("many/<slug:verb>", many.many, name="many"),
    path("sync", rehearsals.sync, name="sync"),
    path("auto-stop", rehearsals.auto_stop, name="auto-stop"),
    path("pause", automation.pause, name="pause"),
    path("resume", automation.resume, name="resume"),
    path("alarms/<int:alarm_id>/acknowledge", automation.acknowledge_alarm, name="acknowledge"),
    path("create", creation.page, name="create"),
    path("create/preview", creation.preview, name="create-preview"),
    path("fleet/<uuid:instance_id>/<slug:verb>", acts.act, name="fleet-act"),
    path("sign-in", sign_in.sign_in, name="sign-in"),
    path("sign-out", sign_in.sign_out, name="sign-out"),
    path("password", sign_in.password, name="password"),
    # One way in and out for the pages and the admin.
    path("admin/login/", sign_in.admin_door),
    path("admin/logout/", sign_in.sign_out),
    path("admin/password_change/", RedirectView.as_view(pattern_name="password")),
    path("keep/<str:token>", keep.page, name="keep"),
    path("heartbeat/<str:token>", beat.beat, name="heartbeat"),
    path("admin/", admin.site.urls),
    path("api/schema", schema.Schema.as_view(), name="schema"),
    path("api/docs", schema.Docs.as_view(url_name="schema"), name="docs"),
    path("health", health.Health.as_view(), name="health"),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("metrics", Metrics.as_view(), name="metrics"),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import display

from instances import operations
from instances.admin.looking import LookOnlyAdmin, LookOnlyInline, actor_of, ask_each, link_to
from instances.models import Job
from instances.story import who

STATE_LABELS = {
    "queued": "info",
    "claimed": "info",
    "sent": "info",
    "confirming": "info",
    "succeeded": "success",
    "failed": "danger",
}


class JobInline(LookOnlyInline):
    model = Job
    fk_name = "instance"
    fields = ["verb", "state", "requested_by_name", "reason", "attempts", "error_detail", "created_at", "finished_at"]
    readonly_fields = fields


@admin.register(Job)
class JobAdmin(LookOnlyAdmin):
    list_display = ["verb", "shown_state", "instance_link", "asked_by", "reason", "attempts", "error_code", "created_at"]
    list_filter = ["state", "verb", "requested_by_kind", "error_code"]
    list_select_related = ["instance"]
    search_fields = ["id", "instance__name", "instance__machine__novita_id", "requested_by_name", "request_id"]
    date_hierarchy = "created_at"
    actions = ["cancel", "retry"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        jobs: QuerySet[Job] = super().get_queryset(request).defer("instance__envs")
        return jobs

    @display(description="state", ordering="state", label=STATE_LABELS)  # type: ignore[untyped-decorator]
    def shown_state(self, job: Job) -> str:
        return job.state

    @admin.display(description="instance", ordering="instance__name")
    def instance_link(self, job: Job) -> SafeString | str:
        return link_to(job.instance)

    @admin.display(description="asked by", ordering="requested_by_name")
    def asked_by(self, job: Job) -> str:
        return who(job.requested_by_kind, job.requested_by_name)

    @admin.action(description="Cancel what was not sent yet", permissions=["change"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        actor, now = actor_of(request), timezone.now()
        ask_each(
            request,
            jobs,
            lambda job: operations.cancel_job(job.pk, actor=actor, reason="cancelled in the admin", now=now),
            "cancelled",
        )

    @admin.action(description="Try again what failed", permissions=["change"])
    def retry(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        actor, now = actor_of(request), timezone.now()
        ask_each(
            request,
            jobs,
            lambda job: operations.retry_job(job.pk, actor=actor, reason="tried again in the admin", now=now),
            "queued again",
        )

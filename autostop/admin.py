"""To look at, not to change: what auto-stop thought and did."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from autostop.models import Evaluation, PassRun, Policy, RecordedDecision


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]  # unfold is untyped
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    list_display = ["instance", "action", "code", "hold", "reason", "idle_since", "same_since", "decided_at"]
    list_filter = ["action", "code", "hold"]
    list_select_related = ["instance"]
    search_fields = ["instance__name", "instance__machine__novita_id"]


@admin.register(RecordedDecision)
class RecordedDecisionAdmin(ReadOnlyAdmin):
    list_display = ["decided_at", "instance", "acted", "action", "code", "hold", "reason"]
    list_filter = ["acted", "action", "code", "hold"]
    list_select_related = ["instance"]
    search_fields = ["instance__name", "instance__machine__novita_id"]
    date_hierarchy = "decided_at"


@admin.register(PassRun)
class PassRunAdmin(ReadOnlyAdmin):
    list_display = [
        "started_at",
        "trigger",
        "actor_name",
        "running",
        "metrics_read",
        "stopped",
        "would_stop",
        "waiting",
        "not_judged",
        "hold",
    ]
    list_filter = ["trigger", "hold"]
    date_hierarchy = "started_at"


@admin.register(Policy)
class PolicyAdmin(ReadOnlyAdmin):
    """Changed over the API, which checks what it takes and tells who did it."""

    list_display = ["name", "rank", "mode", "labels", "threshold", "schedule_mode", "evaluated_at"]
    list_filter = ["mode", "schedule_mode"]
    search_fields = ["name", "description"]

"""What auto-stop goes by, thought and did. Only policies are changed here."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AllValuesCheckboxFilter, BooleanRadioFilter

from autostop.models import DecisionColumns, Evaluation, PassRun, RecordedDecision
from autostop.policy_admin import PolicyAdmin
from instances.admin.looking import LookOnlyAdmin, badge, link_to, moment, two_lines
from instances.story import who

# Modules that register more.
__all__ = ["PolicyAdmin"]

_TONES = {"stop": "moving", "keep": "still", "warn": "warn"}


class DecisionAdmin(LookOnlyAdmin):
    """The act and its reason in one cell, as people ask for them together."""

    list_select_related = ["instance"]
    search_fields = ["instance__name", "instance__machine__novita_id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DecisionColumns]:
        rows: QuerySet[DecisionColumns] = super().get_queryset(request).defer("instance__envs")
        return rows

    @admin.display(description="verdict", ordering="action")
    def verdict(self, decision: DecisionColumns) -> SafeString:
        return badge(decision.action.replace("_", " "), _TONES.get(decision.action, "warn"))

    @admin.display(description="why", ordering="code")
    def why(self, decision: DecisionColumns) -> SafeString:
        return two_lines(decision.reason, decision.code.replace("_", " "))

    @admin.display(description="decided at (UTC)", ordering="decided_at")
    def decided(self, decision: DecisionColumns) -> SafeString | str:
        return moment(decision.decided_at)


@admin.register(Evaluation)
class EvaluationAdmin(DecisionAdmin):
    list_display = ["instance_link", "verdict", "why", "idle", "same", "decided"]
    list_display_links = ["verdict"]
    list_filter = [(name, AllValuesCheckboxFilter) for name in ("action", "code", "hold")]

    @admin.display(description="instance", ordering="instance__name")
    def instance_link(self, evaluation: Evaluation) -> SafeString | str:
        return link_to(evaluation.instance)

    @admin.display(description="idle since (UTC)", ordering="idle_since")
    def idle(self, evaluation: Evaluation) -> SafeString | str:
        return moment(evaluation.idle_since)

    @admin.display(description="so since", ordering="same_since")
    def same(self, evaluation: Evaluation) -> SafeString | str:
        return moment(evaluation.same_since)


@admin.register(RecordedDecision)
class RecordedDecisionAdmin(DecisionAdmin):
    list_display = ["decided", "instance_link", "verdict", "did", "why"]
    list_filter = [
        ("acted", BooleanRadioFilter),
        *((name, AllValuesCheckboxFilter) for name in ("action", "code", "hold")),
    ]
    date_hierarchy = "decided_at"

    @admin.display(description="instance", ordering="instance__name")
    def instance_link(self, decision: RecordedDecision) -> SafeString | str:
        return link_to(decision.instance)

    @admin.display(description="acted", ordering="acted")
    def did(self, decision: RecordedDecision) -> SafeString | str:
        return badge("acted", "moving") if decision.acted else "-"


@admin.register(PassRun)
class PassRunAdmin(LookOnlyAdmin):
    list_display = ["started", "asked_by", "looked_at", "warned", "stopped", "would_stop", "waiting", "not_judged", "held"]
    list_filter = [("trigger", AllValuesCheckboxFilter), ("hold", AllValuesCheckboxFilter)]
    date_hierarchy = "started_at"

    @admin.display(description="started at (UTC)", ordering="started_at")
    def started(self, run: PassRun) -> SafeString | str:
        return moment(run.started_at)

    @admin.display(description="by", ordering="trigger")
    def asked_by(self, run: PassRun) -> SafeString:
        return two_lines(run.trigger, who(run.actor_kind, run.actor_name) if run.actor_kind else "")

    @admin.display(description="looked at", ordering="running")
    def looked_at(self, run: PassRun) -> SafeString:
        return two_lines(f"{run.running} running", f"metrics of {run.metrics_read} read")

    @admin.display(description="held", ordering="hold")
    def held(self, run: PassRun) -> SafeString | str:
        return two_lines(run.hold, run.hold_reason) if run.hold else "-"

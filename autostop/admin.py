"""To look at, not to change: what auto-stop thought and did."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AllValuesCheckboxFilter, BooleanRadioFilter

from autostop.models import DecisionColumns, Evaluation, PassRun, Policy, RecordedDecision
from autostop.policies import value_of
from autostop.schedule import next_runs
from instances.admin.looking import LookOnlyAdmin, badge, link_to, moment, two_lines
from instances.api.times import duration_text
from instances.story import who

_POLICY_TONES = {"enforce": "moving", "canary": "moving", "observe": "warn"}
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


@admin.register(Policy)
class PolicyAdmin(LookOnlyAdmin):
    """Changed over the API, which checks what it takes and tells who did it."""

    list_display = ["name", "rank", "stops", "chosen_by", "idle", "hours", "seen"]
    list_filter = [("mode", AllValuesCheckboxFilter), ("schedule_mode", AllValuesCheckboxFilter)]
    search_fields = ["name", "description"]

    @admin.display(description="mode", ordering="mode")
    def stops(self, policy: Policy) -> SafeString:
        return badge(policy.mode, _POLICY_TONES.get(policy.mode, "still"))

    @admin.display(description="labels")
    def chosen_by(self, policy: Policy) -> str:
        return ", ".join(f"{key}={value}" for key, value in policy.labels.items()) or "only by name"

    @admin.display(description="threshold", ordering="threshold")
    def idle(self, policy: Policy) -> str:
        return duration_text(policy.threshold) if policy.threshold else "as the default"

    @admin.display(description="working hours", ordering="schedule_mode")
    def hours(self, policy: Policy) -> SafeString | str:
        """With its next turn, on its own clock."""
        value = value_of(policy)
        if value.schedule is None:
            return "-"
        runs = next_runs(value.schedule, timezone.now())
        told = f"next: {runs[0].turn} {runs[0].at.astimezone(value.zone):%a %H:%M}" if runs else ""
        return two_lines(f"{policy.schedule_mode.replace('_', ' ')}, {policy.time_zone}", told)

    @admin.display(description="evaluated at (UTC)", ordering="evaluated_at")
    def seen(self, policy: Policy) -> SafeString | str:
        return moment(policy.evaluated_at)


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

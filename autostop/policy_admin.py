"""Policies in the admin: made, changed and deleted by the operations of the API, and shown with what follows from them."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from rest_framework.exceptions import APIException
from unfold.contrib.filters.admin import AllValuesCheckboxFilter
from unfold.decorators import action

from autostop.models import Policy, PolicyMode
from autostop.policies import value_of
from autostop.policy_changes import Followers, change_policy, create_policy, delete_policy, followers_of
from autostop.policy_form import SCHEDULE, PolicyForm
from autostop.schedule import next_runs
from instances.admin.asking import OptionalReason, Question, ask_page, confirmed
from instances.admin.looking import ActingAdmin, actor_of, badge, moment, two_lines
from instances.api.times import duration_text

PERMISSION = "autostop.change_policy"
_TONES = {"enforce": "moving", "canary": "moving", "observe": "warn"}
_WHOM = ["name", "description", "mode", "labels", "rank", "canary_count", "canary_percent"]
_IDLE = [
    *["threshold", "gpu_percent", "cpu_cores", "coverage_percent", "in_a_row", "holds"],
    *["grace_after_start", "grace_after_ready", "max_age", "warning_lead", "unknown_limit"],
]


@admin.register(Policy)
class PolicyAdmin(ActingAdmin):
    form = PolicyForm
    list_display = ["name", "rank", "stops", "chosen_by", "idle", "hours", "seen"]
    list_filter = [("mode", AllValuesCheckboxFilter), ("schedule_mode", AllValuesCheckboxFilter)]
    search_fields = ["name", "description"]
    actions_detail = ["remove"]

    # Who may.

    def has_policies_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return bool(request.user.has_perm(PERMISSION))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_policies_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_policies_permission(request)

    # What is shown.

    def get_fieldsets(self, request: HttpRequest, obj: Policy | None = None) -> list[tuple[str, dict[str, Any]]]:
        seen = ["followers", "next_turns"] if obj is not None else []
        reason = ["reason"] if self.has_change_permission(request, obj) else []
        return [
            ("Whom it stops", {"fields": [*_WHOM, *seen, *reason]}),
            ("When idle", {"fields": _IDLE}),
            ("Working hours", {"fields": ["time_zone", *SCHEDULE]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Policy | None = None) -> list[str]:
        return [] if obj is None else ["name", "followers", "next_turns"]

    @admin.display(description="mode", ordering="mode")
    def stops(self, policy: Policy) -> SafeString:
        return badge(policy.mode, _TONES.get(policy.mode, "still"))

    @admin.display(description="labels")
    def chosen_by(self, policy: Policy) -> str:
        return ", ".join(f"{key}={text}" for key, text in value_of(policy).labels.items()) or "only by name"

    @admin.display(description="threshold", ordering="threshold")
    def idle(self, policy: Policy) -> str:
        return duration_text(policy.threshold) if policy.threshold else "as the default"

    @admin.display(description="working hours", ordering="schedule_mode")
    def hours(self, policy: Policy) -> SafeString | str:
        """With its next turn, on its own clock."""
        value = value_of(policy)
        if value.schedule is None:
            return value.unreadable or "-"
        runs = next_runs(value.schedule, timezone.now())
        told = f"next: {runs[0].turn} {runs[0].at.astimezone(value.zone):%a %H:%M}" if runs else ""
        return two_lines(f"{policy.schedule_mode.replace('_', ' ')}, {policy.time_zone}", told)

    @admin.display(description="evaluated at (UTC)", ordering="evaluated_at")
    def seen(self, policy: Policy) -> SafeString | str:
        return moment(policy.evaluated_at)

    @admin.display(description="instances that follow it")
    def followers(self, policy: Policy) -> str:
        return _counted(followers_of(policy.name, timezone.now()))

    @admin.display(description="next turns")
    def next_turns(self, policy: Policy) -> SafeString | str:
        """Five of them, on its own clock and in UTC."""
        value = value_of(policy)
        if value.schedule is None:
            return value.unreadable or "none: it has no working hours"
        runs = next_runs(value.schedule, timezone.now())
        lines = [(str(run.turn), f"{run.at.astimezone(value.zone):%a %Y-%m-%d %H:%M %Z}", f"{run.at:%H:%M}") for run in runs]
        return format_html_join("", "<div>{} {} <small>({} UTC)</small></div>", lines)

    # What is changed.

    def save_model(self, request: HttpRequest, obj: Policy, form: PolicyForm, change: bool) -> None:
        """Through the operation, which locks the row and writes the event; then told whom it concerns."""
        by: dict[str, Any] = {
            "actor": actor_of(request),
            "now": timezone.now(),
            "reason": form.cleaned_data["reason"] or "in the admin",
        }
        if not change:
            obj.name = form.body["name"]
            obj.pk = create_policy(form.body, **by).pk
        elif form.body:
            change_policy(obj.name, form.body, **by)
        row = Policy.objects.get(pk=obj.pk)
        told = _counted(followers_of(row.name, by["now"]))
        acts = {PolicyMode.ENFORCE: "stops what is idle of them", PolicyMode.CANARY: "stops what is idle of its canaries"}
        does = acts.get(PolicyMode(row.mode), "stops none of them")
        messages.info(request, f"Policy {row.name} applies to {told}. From the next pass on it {does}.")

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        shown: Callable[..., HttpResponse] = super().changeform_view
        try:
            return shown(request, object_id, form_url, extra_context)
        except APIException as refusal:
            messages.error(request, f"Not saved: {refusal.detail}.")
            return HttpResponseRedirect(request.path)

    @action(description="Delete…", url_path="remove", permissions=["policies"])  # type: ignore[untyped-decorator]
    def remove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self.get_object(request, object_id)
        if policy is None or not self.has_policies_permission(request):
            raise PermissionDenied("your account lacks the permission to delete policies")
        to_list = reverse("admin:autostop_policy_changelist")
        form = OptionalReason(confirmed(request))
        if form.is_valid():
            reason = form.cleaned_data["reason"] or "in the admin"
            try:
                delete_policy(policy.name, actor=actor_of(request), now=timezone.now(), reason=reason)
            except APIException as refusal:
                messages.error(request, f"Not deleted: {refusal.detail}.")
            else:
                messages.success(request, f"Policy {policy.name} is deleted.")
            return HttpResponseRedirect(to_list)
        question = Question(
            title=f"Delete the policy {policy.name}?",
            lead=f"It applies to {_counted(followers_of(policy.name, timezone.now()))}. Those that its labels choose follow "
            "the next policy that fits, else the default, which stops what is idle. Refused while instances name it.",
            confirm="Delete",
            grave=True,
        )
        return ask_page(self, request, question, form, back=to_list)


def _counted(followers: Followers) -> str:
    noun = "instance" if followers.living == 1 else "instances"
    return f"{followers.living} {noun}, {followers.running} of them running"

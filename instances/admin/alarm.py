from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import display

from instances.admin.looking import LookOnlyAdmin, actor_of, link_to
from instances.alarms import acknowledge
from instances.models import Alarm


class AcknowledgeForm(forms.Form):
    reason = forms.CharField(max_length=500, label="Why it may stay as it is")
    hours = forms.IntegerField(
        min_value=1, max_value=24 * 90, required=False, label="For how many hours", help_text="Empty: until it is over."
    )


class OpenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "cleared"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open"), ("over", "over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        return queryset if self.value() is None else queryset.filter(cleared_at__isnull=self.value() == "open")


@admin.register(Alarm)
class AlarmAdmin(LookOnlyAdmin):
    list_display = ["shown_state", "text", "remedy", "instance_link", "acknowledged_by", "opened_at", "last_seen_at"]
    list_display_links = ["text"]
    list_filter = [OpenFilter, "kind"]
    list_select_related = ["instance"]
    search_fields = ["kind", "subject", "text", "instance__name"]
    actions = ["acknowledge"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alarm]:
        alarms: QuerySet[Alarm] = super().get_queryset(request).defer("instance__envs")
        return alarms

    @display(  # type: ignore[untyped-decorator]
        description="state", ordering="cleared_at", label={"open": "danger", "acknowledged": "warning"}
    )
    def shown_state(self, alarm: Alarm) -> str:
        if alarm.cleared_at is not None:
            return "over"
        return "acknowledged" if alarm.acknowledged_by else "open"

    @admin.display(description="instance", ordering="instance__name")
    def instance_link(self, alarm: Alarm) -> SafeString | str:
        return link_to(alarm.instance)

    @admin.action(description="Acknowledge with a reason", permissions=["change"])
    def acknowledge(self, request: HttpRequest, alarms: QuerySet[Alarm]) -> HttpResponse | None:
        """A page that asks for the reason, then the note on each open one."""
        still_open = list(alarms.filter(cleared_at=None))
        form = AcknowledgeForm(request.POST if "confirmed" in request.POST else None)
        if not still_open:
            messages.warning(request, "None of these is open.")
            return None
        if form.is_valid():
            self._acknowledge(request, still_open, form.cleaned_data)
            return None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "title": "Acknowledge these alarms?",
            "consequence": "They stay open until their condition is over, and say who knows of them and why.",
            "lines": [alarm.text for alarm in still_open],
            "selected": [alarm.pk for alarm in still_open],
            "action": "acknowledge",
            "form": form,
            "confirm": "Acknowledge",
            "back": reverse("admin:instances_alarm_changelist"),
        }
        return TemplateResponse(request, "admin/ask.html", context)

    def _acknowledge(self, request: HttpRequest, alarms: list[Alarm], answers: dict[str, Any]) -> None:
        now = timezone.now()
        until = now + timedelta(hours=answers["hours"]) if answers["hours"] else None
        done = 0
        for alarm in alarms:
            try:
                acknowledge(alarm.pk, actor=actor_of(request), reason=answers["reason"], until=until, now=now)
            except Alarm.DoesNotExist:
                continue  # over meanwhile
            done += 1
        messages.success(request, f"{done} acknowledged.")

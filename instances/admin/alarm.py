from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AllValuesCheckboxFilter, RadioFilter

from instances.admin.asking import Line, Question, Reason, ask_page, confirmed, hours_field
from instances.admin.looking import LookOnlyAdmin, actor_of, address_of, badge, link_to, moment, two_lines
from instances.alarms import acknowledge
from instances.models import Alarm

_TONES = {"open": "bad", "acknowledged": "warn", "over": "still"}


class AcknowledgeForm(Reason):
    hours = hours_field(
        most=24 * 90, required=False, label="For how many hours (may stay empty)", help_text="Empty: until it is over."
    )


class OpenFilter(RadioFilter):  # type: ignore[misc]  # unfold is untyped
    """What is open, unless asked otherwise."""

    title = "state"
    parameter_name = "cleared"
    all_option = ["", "Open"]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("over", "Over"), ("all", "Both")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        return queryset if self.value() == "all" else queryset.filter(cleared_at__isnull=self.value() != "over")


@admin.register(Alarm)
class AlarmAdmin(LookOnlyAdmin):
    list_display = ["shown_state", "what", "instance_link", "known_to", "opened", "last_seen"]
    list_display_links = ["what"]
    list_filter = [OpenFilter, ("kind", AllValuesCheckboxFilter)]
    list_select_related = ["instance"]
    search_fields = ["kind", "subject", "text", "instance__name"]
    actions = ["acknowledge"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alarm]:
        alarms: QuerySet[Alarm] = super().get_queryset(request).defer("instance__envs")
        return alarms

    @admin.display(description="state", ordering="cleared_at")
    def shown_state(self, alarm: Alarm) -> SafeString:
        state = _state(alarm)
        return badge(state, _TONES[state])

    @admin.display(description="what, and what to do", ordering="text")
    def what(self, alarm: Alarm) -> SafeString:
        return two_lines(alarm.text, alarm.remedy)

    @admin.display(description="known to", ordering="acknowledged_by")
    def known_to(self, alarm: Alarm) -> SafeString | str:
        return two_lines(alarm.acknowledged_by, alarm.acknowledged_reason) if alarm.acknowledged_by else "nobody"

    @admin.display(description="since (UTC)", ordering="opened_at")
    def opened(self, alarm: Alarm) -> SafeString | str:
        return moment(alarm.opened_at)

    @admin.display(description="last seen", ordering="last_seen_at")
    def last_seen(self, alarm: Alarm) -> SafeString | str:
        return moment(alarm.last_seen_at)

    @admin.display(description="instance", ordering="instance__name")
    def instance_link(self, alarm: Alarm) -> SafeString | str:
        return link_to(alarm.instance)

    @admin.action(description="Acknowledge…", permissions=["operate"])
    def acknowledge(self, request: HttpRequest, alarms: QuerySet[Alarm]) -> HttpResponse | None:
        """A page that asks for the reason, then the note on each open one."""
        still_open = list(alarms.filter(cleared_at=None))
        if not still_open:
            messages.warning(request, "None of these is open.")
            return None
        form = AcknowledgeForm(confirmed(request))
        if form.is_valid():
            self._acknowledge(request, still_open, form.cleaned_data)
            return None
        question = Question(
            title="Acknowledge these alarms?",
            lead="They stay open until their condition is over, and say who knows of them and why.",
            confirm="Acknowledge",
            lines=tuple(
                Line(name=one.text, text=one.remedy, badge=badge(_state(one), _TONES[_state(one)]), address=address_of(one))
                for one in still_open
            ),
        )
        back = reverse("admin:instances_alarm_changelist")
        selected = [one.pk for one in still_open]
        return ask_page(self, request, question, form, back=back, action="acknowledge", selected=selected)

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


def _state(alarm: Alarm) -> str:
    if alarm.cleared_at is not None:
        return "over"
    return "acknowledged" if alarm.acknowledged_by else "open"

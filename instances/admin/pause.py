"""The one switch that holds every rule: paused and resumed here, with a reason and an end."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import action

from instances import operations
from instances.admin.asking import OptionalReason, Question, Reason, ask_page, confirmed, hours_field
from instances.admin.event import story_lines
from instances.admin.looking import LookOnlyAdmin, actor_of
from instances.models import AutomationPause, Event
from instances.story import who
from instances.words import clock

_TOLD = ("automation.paused", "automation.resumed")
_MOST_TOLD = 20
_MOST_HOURS = int(operations.LONGEST_PAUSE / timedelta(hours=1))


class PauseForm(Reason):
    hours = hours_field(
        most=_MOST_HOURS, initial=2, label="For how many hours", help_text=f"At most {_MOST_HOURS}; then rules act again."
    )


@admin.register(AutomationPause)
class AutomationPauseAdmin(LookOnlyAdmin):
    """There is one switch, so its list is a page that shows it."""

    actions_list = ["pause", "resume"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied("your account lacks the permission to see the pause of automation")
        pause = AutomationPause.objects.filter(pk=1).first()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Automation",
            "pause": pause if pause is not None and pause.holds(timezone.now()) else None,
            "by": who(pause.actor_kind, pause.actor_name) if pause is not None else "",
            "may_change": self.has_operate_permission(request),
            "lines": story_lines(Event.objects.filter(type__in=_TOLD)[:_MOST_TOLD]),
        }
        return TemplateResponse(request, "admin/instances/pause.html", context)

    @action(description="Pause…", url_path="pause", permissions=["operate"])  # type: ignore[untyped-decorator]
    def pause(self, request: HttpRequest) -> HttpResponse:
        form = PauseForm(confirmed(request))
        now = timezone.now()
        if form.is_valid():
            until = now + timedelta(hours=form.cleaned_data["hours"])
            operations.pause_automation(until=until, reason=form.cleaned_data["reason"], actor=actor_of(request), now=now)
            messages.success(request, f"Automation is paused until {clock(until)}.")
            return _to_list()
        question = Question(
            title="Pause all automation?",
            lead="No rule stops, moves or brings back anything until then: what idles goes on costing. What people ask for "
            "is done as always.",
            confirm="Pause",
        )
        return ask_page(self, request, question, form, back=_list_address())

    @action(description="Resume", url_path="resume", permissions=["operate"])  # type: ignore[untyped-decorator]
    def resume(self, request: HttpRequest) -> HttpResponse:
        form = OptionalReason(confirmed(request))
        if form.is_valid():
            operations.resume_automation(actor=actor_of(request), reason=form.cleaned_data["reason"], now=timezone.now())
            messages.success(request, "Automation is running: rules act from their next pass on.")
            return _to_list()
        question = Question(
            title="Let automation act again?",
            lead="From their next pass on rules stop what idles and bring back what Novita took.",
            confirm="Resume",
        )
        return ask_page(self, request, question, form, back=_list_address())


def _list_address() -> str:
    return reverse("admin:instances_automationpause_changelist")


def _to_list() -> HttpResponseRedirect:
    return HttpResponseRedirect(_list_address())

"""The switch that holds every rule, on every page; and the alarms a person takes note of."""

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from instances import operations
from instances.alarms import acknowledge
from instances.models import Alarm
from instances.words import span
from novita_manager.pages.access import actor_of, asked_from, needs, way_back

_SPANS = ((1, "1 hour"), (2, "2 hours"), (8, "8 hours"), (24, "a day"), (72, "3 days"), (168, "7 days"))
HOURS = [one for one in _SPANS if timedelta(hours=one[0]) <= operations.LONGEST_PAUSE]


class PauseForm(forms.Form):
    hours = forms.TypedChoiceField(label="For how long", choices=HOURS, coerce=int, initial=2)
    reason = forms.CharField(label="Why", max_length=500, help_text="Shown on every page while it lasts.")


class AcknowledgeForm(forms.Form):
    reason = forms.CharField(max_length=500)
    hours = forms.IntegerField(min_value=1, max_value=24 * 90, required=False)


@require_http_methods(["GET", "POST"])
@needs("operate")
def pause(request: HttpRequest) -> HttpResponse:
    """Hold every rule for a while; people's own acts go on."""
    form = PauseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        now, length = timezone.now(), timedelta(hours=form.cleaned_data["hours"])
        operations.pause_automation(until=now + length, reason=form.cleaned_data["reason"], actor=actor_of(request), now=now)
        messages.success(request, f"Automation is paused for {span(length)}: no rule stops or moves anything.")
        return way_back(request)
    return render(
        request, "fleet/pause.html", {"form": form, "back": asked_from(request)}, status=400 if form.errors else 200
    )


@require_POST
@needs("operate")
def resume(request: HttpRequest) -> HttpResponse:
    operations.resume_automation(actor=actor_of(request), reason="resumed on a page", now=timezone.now())
    messages.success(request, "Automation goes on: rules act again from the next pass.")
    return way_back(request)


@require_POST
@needs("operate")
def acknowledge_alarm(request: HttpRequest, alarm_id: int) -> HttpResponse:
    """Note that a person knows, with a reason and for how long. The fields carry the alarm's number, many to a form."""
    form = AcknowledgeForm({name: request.POST.get(f"{name}-{alarm_id}", "") for name in ("reason", "hours")})
    if not form.is_valid():
        problems = "; ".join(f"{name}: {' '.join(map(str, told))}" for name, told in form.errors.items())
        messages.error(request, f"Not acknowledged: {problems}")
        return way_back(request)
    now, hours = timezone.now(), form.cleaned_data["hours"]
    until = now + timedelta(hours=hours) if hours else None
    try:
        alarm = acknowledge(alarm_id, actor=actor_of(request), reason=form.cleaned_data["reason"], until=until, now=now)
    except Alarm.DoesNotExist:
        messages.warning(request, "That alarm is over already.")
    else:
        messages.success(request, f"Acknowledged: {alarm.text}")
    return way_back(request)

"""A policy as people write it in the admin: the body of the API, checked by the API's own form."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils import timezone
from drf_standardized_errors.formatter import flatten_errors
from rest_framework.serializers import ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from autostop.api_policies import NewPolicy, PolicyChange
from autostop.models import Policy, PolicyMode
from autostop.policies import value_of
from autostop.policy_changes import policy_json, take
from autostop.schedule import DAY_NAMES, MODES

SCHEDULE = ("schedule_mode", "schedule_start", "schedule_stop", "schedule_days")
_AS_THE_DEFAULT = ("threshold", "gpu_percent", "cpu_cores")
_MAY_BE_EMPTY = (*_AS_THE_DEFAULT, "max_age", "canary_count", "canary_percent")
_NOT_SENT = ("reason", *SCHEDULE)
_MODES = {
    PolicyMode.OFF: "off: nothing is stopped",
    PolicyMode.OBSERVE: "observe: told, not stopped",
    PolicyMode.CANARY: "canary: stops some of its instances, and observes the others",
    PolicyMode.ENFORCE: "enforce: stops what is idle",
}
_SCHEDULES = {
    "once_at": "once at: stopped once at the stop time; who starts it again keeps it",
    "keep_off_between": "keep off between: off from the stop to the start time, whoever starts it",
}


def _text(help_text: str = "", **options: Any) -> forms.CharField:
    return forms.CharField(required=False, widget=UnfoldAdminTextInputWidget, help_text=help_text, **options)


def _number(help_text: str = "") -> forms.IntegerField:
    return forms.IntegerField(required=False, widget=UnfoldAdminIntegerFieldWidget, help_text=help_text)


def _fraction(help_text: str) -> forms.FloatField:
    return forms.FloatField(required=False, widget=UnfoldAdminDecimalFieldWidget, help_text=help_text)


def _json(help_text: str) -> forms.JSONField:
    return forms.JSONField(required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}), help_text=help_text)


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable when it runs
    """`body` is what was written, as the API takes it: all of a new policy, and only what changed of an old one."""

    name = _text("How instances name it. It cannot be changed later.")
    description = _text()
    rank = _number("Of several policies that fit by labels the lowest rank holds.")
    labels = _json("A JSON object of strings: instances with all of these follow it. {}: only those that name it.")
    mode = forms.ChoiceField(choices=[(str(one), text) for one, text in _MODES.items()], widget=UnfoldAdminSelectWidget)
    canary_count = _number("For a canary: how many of its running instances it stops.")
    canary_percent = _number("For a canary, instead: what share of them, in percent.")
    threshold = _text("Idle time before a stop, such as 20m. Empty: as the default.")
    gpu_percent = _fraction("A GPU at this load or above counts as active. Empty: as the default.")
    cpu_cores = _fraction("So many busy cores or more count as active. Empty: as the default.")
    coverage_percent = _number("The least share of the time that samples must cover.")
    in_a_row = _number("How many evaluations in a row have to find it idle.")
    holds = _json('Signals that may hold an instance, and how long at most: {"use": null, "gpu": "2h"}. null: no limit.')
    grace_after_start = _text("Not stopped for idleness for so long after its start, such as 30m.")
    grace_after_ready = _text("The same, after it became ready.")
    max_age = _text("Stopped after so long, whatever it does, such as 12h. Empty: never.")
    warning_lead = _text("How long before a stop people are warned, such as 5m.")
    unknown_limit = _text("After so long without data an alarm is raised.")
    time_zone = _text("Of the working hours, such as Europe/Berlin.")
    schedule_mode = forms.ChoiceField(
        label="Working hours",
        required=False,
        choices=[("", "none"), *((one, _SCHEDULES[one]) for one in MODES)],
        widget=UnfoldAdminSelectWidget,
    )
    schedule_start = _text("Such as 08:00.", label="Starts at")
    schedule_stop = _text("Such as 19:00.", label="Stops at")
    schedule_days = forms.MultipleChoiceField(
        label="On",
        required=False,
        choices=[(one, one) for one in DAY_NAMES],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None: every day.",
    )
    reason = _text("Why you change it: told in its event.", max_length=500)

    class Meta:
        model = Policy
        fields = ()

    body: Mapping[str, Any]

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        row = self.instance if self.instance.pk else Policy(created_at=timezone.now())
        self.initial = {**self.initial, **written(row)}
        if self.instance.pk:
            self.fields.pop("name", None)

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if self.errors:
            return cleaned
        form = (PolicyChange if self.instance.pk else NewPolicy)(data=self._sent(), context={"now": timezone.now()})
        try:
            form.is_valid(raise_exception=True)
            self.body = form.validated_data
            take(Policy.objects.get(pk=self.instance.pk) if self.instance.pk else Policy(), self.body)
        except ValidationError as refusal:
            for one in flatten_errors(refusal.detail):
                self.add_error(self._home(str(one.attr or "")), str(one.detail))
        name = cleaned.get("name")
        if not self.instance.pk and name and Policy.objects.filter(name=name).exists():
            self.add_error("name", f"a policy named {name!r} exists")
        return cleaned

    def _post_clean(self) -> None:
        """The API's form has judged it; the row is written by the operation."""

    def _sent(self) -> dict[str, Any]:
        """The body: of an old policy only what was changed, so that what somebody else has set meanwhile stays."""
        changed = set(self.changed_data)
        names = [one for one in self.fields if one not in _NOT_SENT and (one in changed or not self.instance.pk)]
        body = {name: self._value(name) for name in names}
        if changed.intersection(SCHEDULE):
            body["schedule"] = self._schedule()
        return body

    def _value(self, name: str) -> Any:
        value = self.cleaned_data[name]
        if value not in (None, ""):
            return value
        if name in _MAY_BE_EMPTY:
            return None
        return {} if name == "labels" else "" if value is None else value

    def _schedule(self) -> dict[str, Any] | None:
        mode, start, stop, days = (self.cleaned_data[name] for name in SCHEDULE)
        return {"mode": mode, "start": start or None, "stop": stop or None, "days": days} if mode else None

    def _home(self, attribute: str) -> str | None:
        first, _, inner = attribute.partition(".")
        if first == "schedule":
            inner = f"schedule_{inner.partition('.')[0]}"
            return inner if inner in self.fields else "schedule_mode"
        return first if first in self.fields else None


def written(row: Policy) -> dict[str, Any]:
    """What the form shows of a policy."""
    shown = policy_json(value_of(row), timezone.now())
    schedule = shown["schedule"] or {}
    return {
        **{name: value for name, value in shown.items() if name in PolicyForm.base_fields},
        **{name: None for name in _AS_THE_DEFAULT if getattr(row, name) is None},
        **{name: schedule.get(name.removeprefix("schedule_"), "") for name in SCHEDULE},
        "schedule_days": schedule.get("days", []) if row.schedule_days else [],
    }

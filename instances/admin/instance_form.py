"""The settings people may give, checked as the API checks them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string
from rest_framework import serializers
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from instances.api.fields import Labels
from instances.api.receivers import InstanceReceiver
from instances.api.requests import HealthCheck, NameField, refuse_port_conflicts
from instances.api.times import duration_text, parse_duration
from instances.models import Instance
from instances.operations.settings import SETTINGS

_LONGEST_THRESHOLD = timedelta(days=30)


class DurationTextField(forms.Field):
    """A span written as 30s, 20m or 2h; empty for none."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return duration_text(value) if isinstance(value, timedelta) else value

    def to_python(self, value: Any) -> timedelta | None:
        if value in self.empty_values:
            return None
        try:
            span = parse_duration(str(value).strip())
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        if not timedelta(0) < span <= _LONGEST_THRESHOLD:
            raise forms.ValidationError("more than 0s and at most 30d are possible")
        return span

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except forms.ValidationError:
            return True


class InstanceForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable when it runs
    auto_stop_threshold = DurationTextField(
        required=False, help_text="Idle time before auto-stop, such as 20m. Empty: the default."
    )
    reason = forms.CharField(
        max_length=500,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Why you change it: told in its story.",
    )

    class Meta:
        model = Instance
        fields = SETTINGS
        widgets = {name: UnfoldAdminTextareaWidget(attrs={"rows": 2}) for name in ("health_check", "labels")}
        help_texts = {
            "health_check": 'Empty: none. {}: any exposed port. Else {"http": {"port": 80}} and/or {"tcp": {"port": 22}}.',
            "labels": "A JSON object of strings.",
            "stop_at": "UTC. Auto-stop stops it then, whatever it does.",
            "max_price_usd_per_hour": "For the whole instance, disks apart.",
        }

    def clean_auto_stop_policy(self) -> str:
        name: str = self.cleaned_data["auto_stop_policy"]
        if name and not import_string(settings.AUTO_STOP_POLICY_EXISTS)(name):
            raise forms.ValidationError(f"there is no policy named {name!r}")
        return name

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        return name if "name" not in self.changed_data else str(_checked(NameField().run_validation, name))

    def clean_webhook_url(self) -> str:
        address = str(self.cleaned_data["webhook_url"])
        return str(_checked(InstanceReceiver().run_validation, address)) if address else ""

    def clean_labels(self) -> dict[str, str]:
        labels: dict[str, str] = _checked(Labels().run_validation, self.cleaned_data["labels"] or {})
        return labels

    def clean_health_check(self) -> dict[str, Any] | None:
        given: dict[str, Any] | None = self.cleaned_data["health_check"]
        if given is None or "health_check" not in self.changed_data:
            return given
        check: dict[str, Any] = _checked(HealthCheck().run_validation, given)
        _checked(lambda one: refuse_port_conflicts(self.instance.ports, self.instance.tools, one), check)
        return {kind: dict(one) for kind, one in check.items()}

    def clean_stop_at(self) -> Any:
        stop_at = self.cleaned_data["stop_at"]
        if stop_at is not None and "stop_at" in self.changed_data and stop_at <= timezone.now():
            raise forms.ValidationError("write a time that is yet to come")
        return stop_at

    def clean_max_price_usd_per_hour(self) -> Any:
        price = self.cleaned_data["max_price_usd_per_hour"]
        if price is not None and price <= 0:
            raise forms.ValidationError("write an amount above 0")
        return price


def _checked(check: Callable[[Any], Any], value: Any) -> Any:
    """What the API's own check makes of a value; its refusal as a form's."""
    try:
        return check(value)
    except serializers.ValidationError as error:
        raise forms.ValidationError([str(one) for one in _messages(error.detail)]) from error


def _messages(detail: Any) -> list[Any]:
    if isinstance(detail, dict):
        return [f"{name}: {one}" for name, inner in detail.items() for one in _messages(inner)]
    if isinstance(detail, list):
        return [one for inner in detail for one in _messages(inner)]
    return [detail]

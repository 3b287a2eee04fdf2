"""Keeping an instance, from its page: until a time, and for a reason, no rule stops it; and the end of that.

What is typed goes through the form and the operations of the API.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from rest_framework.serializers import ValidationError

from autostop.api_keeping import KeepForm
from autostop.links import KEEP_SHORTLY
from autostop.policies import read_policies
from autostop.schedule import end_of_day
from instances.api.times import rfc3339
from instances.lifecycle import BILLED, Wanted
from instances.models import Instance
from instances.operations import OperationRefused, end_keep, keep_until
from instances.words import clock, usd
from novita_manager.pages.access import actor_of, needs, way_back
from novita_manager.pages.acts import LONGEST_REASON
from novita_manager.pages.parts import instance_or_404
from novita_manager.pages.typed import problems_of, utc_moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Until when it is kept, by whom and why; and what may be chosen. `price` is None where it is not billed by the hour."""

    until: datetime | None
    reason: str
    by: str
    shortly: timedelta
    tonight: datetime
    zone: str
    price: Decimal | None

    @property
    def cost_shortly(self) -> str:
        return cost_of(self.price, self.shortly)


def keeping_of(instance: Instance, now: datetime, *, scopes: frozenset[str]) -> Keeping | None:
    """None where there is nothing to keep, or the person may not."""
    if "operate" not in scopes or not instance.managed or instance.has_ended or instance.wanted == Wanted.DELETED:
        return None
    kept = instance.keep_until is not None and instance.keep_until > now
    tonight, zone = _tonight(instance, now)
    return Keeping(
        until=instance.keep_until if kept else None,
        reason=instance.keep_reason if kept else "",
        by=instance.keep_by if kept else "",
        shortly=KEEP_SHORTLY,
        tonight=tonight,
        zone=zone,
        price=_price(instance),
    )


def cost_of(price: Decimal | None, length: timedelta) -> str:
    """What so long a time costs, to the cent; empty where nothing is billed."""
    hours = Decimal(max(length.total_seconds(), 0)) / 3600
    return usd(price * hours) if price is not None else ""


@require_POST
@needs("operate")
def keep(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    """For `for` = shortly or today, else until `until`, which is read as UTC."""
    now, instance = timezone.now(), instance_or_404(instance_id)
    form = KeepForm(data={"until": _until(request, instance, now), "reason": _reason(request)}, context={"now": now})
    try:
        form.is_valid(raise_exception=True)
        until = form.validated_data["until"]
        keep_until(instance.pk, until, reason=form.validated_data["reason"], actor=actor_of(request), now=now)
    except ValidationError as refusal:
        messages.error(
            request, f"{instance} is not kept: {'; '.join(f'{one.field}: {one.text}' for one in problems_of(refusal))}."
        )
    except OperationRefused as refusal:
        messages.error(request, f"{instance} is not kept: {refusal.detail}.")
    else:
        cost = cost_of(_price(instance), until - now)
        costs = f" It costs about {cost} until then." if cost else ""
        messages.success(request, f"{instance} is kept: auto-stop leaves it alone until {clock(until)}.{costs}")
    return way_back(request, reverse("fleet-instance", args=[instance_id]))


@require_POST
@needs("operate")
def end(request: HttpRequest, instance_id: UUID) -> HttpResponse:
    instance = instance_or_404(instance_id)
    try:
        end_keep(instance.pk, reason=_reason(request), actor=actor_of(request), now=timezone.now())
    except OperationRefused as refusal:
        messages.error(request, f"{instance}: refused, {refusal.detail}.")
    else:
        messages.success(request, f"{instance} is kept no longer: the next pass of auto-stop judges it like any other.")
    return way_back(request, reverse("fleet-instance", args=[instance_id]))


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()[:LONGEST_REASON]


def _until(request: HttpRequest, instance: Instance, now: datetime) -> str:
    chosen = request.POST.get("for", "")
    if chosen == "shortly":
        return rfc3339(now + KEEP_SHORTLY)
    if chosen == "today":
        return rfc3339(_tonight(instance, now)[0])
    text = request.POST.get("until", "").strip()
    return utc_moment(text) if text else ""


def _tonight(instance: Instance, now: datetime) -> tuple[datetime, str]:
    """The end of the day on the clock of its policy, and whose clock that is."""
    zone = read_policies(now).of(instance.auto_stop_policy, instance.labels).zone
    return end_of_day(now, zone), zone.key


def _price(instance: Instance) -> Decimal | None:
    billed = instance.machine is not None and instance.observed in BILLED
    return instance.machine.hourly_usd if instance.machine and billed else None

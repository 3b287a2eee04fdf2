from datetime import datetime

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from instances.admin.looking import LookOnlyAdmin, LookOnlyInline, link_to
from instances.models import Machine, RunningInterval
from instances.words import usd, usd_per_hour


def price_of(machine: Machine | None) -> str:
    return usd_per_hour(machine.price_usd_per_hour) if machine and machine.price_usd_per_hour is not None else "-"


class IntervalInline(LookOnlyInline):
    model = RunningInterval
    fields = ["started_at", "ended_at", "price_usd_per_hour"]
    readonly_fields = fields
    show_change_link = False


class MachineInline(LookOnlyInline):
    model = Machine
    verbose_name_plural = "machines"
    fields = ["novita_id", "status", "region", "product_name", "price_usd_per_hour", "running_since", "absent_at"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Machine]:
        machines: QuerySet[Machine] = super().get_queryset(request).defer("connection")
        return machines


@admin.register(Machine)
class MachineAdmin(LookOnlyAdmin):
    list_display = ["title", "instance_link", "status", "region", "product_name", "price", "cost", "seen_at", "absent_at"]
    list_filter = ["status", "region", "billing_mode", "spot_status"]
    list_select_related = ["instance"]
    search_fields = ["novita_id", "correlation_id", "provider_name", "instance__name"]
    ordering = ["-id"]
    exclude = ["connection"]
    inlines = [IntervalInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Machine]:
        machines: QuerySet[Machine] = super().get_queryset(request).defer("connection", "instance__envs")
        return machines

    @admin.display(description="machine", ordering="novita_id")
    def title(self, machine: Machine) -> str:
        return str(machine)

    @admin.display(description="instance", ordering="instance__name")
    def instance_link(self, machine: Machine) -> SafeString | str:
        return link_to(machine.instance)

    @admin.display(description="$/h", ordering="price_usd_per_hour")
    def price(self, machine: Machine) -> str:
        return price_of(machine)

    @admin.display(description="cost so far")
    def cost(self, machine: Machine) -> str:
        return usd(machine.cost_usd(timezone.now()))

    @admin.display(description="last read of its own", ordering="observed_at")
    def seen_at(self, machine: Machine) -> datetime | None:
        return machine.observed_at

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AllValuesCheckboxFilter

from instances.admin.looking import LookOnlyAdmin, LookOnlyInline, in_one_line, link_to, moment, two_lines
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
    list_display = ["title", "instance_link", "shown_status", "what_and_where", "money", "seen_at", "absent"]
    list_filter = [
        ("status", AllValuesCheckboxFilter),
        ("region", AllValuesCheckboxFilter),
        ("billing_mode", AllValuesCheckboxFilter),
        ("spot_status", AllValuesCheckboxFilter),
    ]
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

    @admin.display(description="status", ordering="status")
    def shown_status(self, machine: Machine) -> SafeString | str:
        return two_lines(machine.status or "-", machine.status_error)

    @admin.display(description="what and where", ordering="product_name")
    def what_and_where(self, machine: Machine) -> SafeString:
        billing = machine.billing_mode.replace("_", "-")
        return two_lines(in_one_line(machine.product_name or "-"), f"{machine.region} {billing}".strip())

    @admin.display(description="cost", ordering="price_usd_per_hour")
    def money(self, machine: Machine) -> SafeString:
        price = price_of(machine)
        return two_lines(usd(machine.cost_usd(timezone.now())), "no price yet" if price == "-" else f"{price}/h")

    @admin.display(description="last read of its own (UTC)", ordering="observed_at")
    def seen_at(self, machine: Machine) -> SafeString | str:
        return moment(machine.observed_at)

    @admin.display(description="absent since", ordering="absent_at")
    def absent(self, machine: Machine) -> SafeString | str:
        return moment(machine.absent_at)

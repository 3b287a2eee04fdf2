"""The filters people need in the list of instances."""

from typing import Any

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, NullIf
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter, MultipleDropdownFilter, RadioFilter, TextFilter

from instances.api.filters import labelled
from instances.lifecycle import Phase
from instances.models import Instance, Machine
from instances.models.instance import BillingMode

Lookups = list[tuple[str, str]]
Rows = QuerySet[Instance]


class LifeFilter(RadioFilter):  # type: ignore[misc]  # unfold is untyped
    """What lives, unless asked otherwise: a fleet that lasts has more behind it than before it."""

    title = "life"
    parameter_name = "life"
    all_option = ["", "Living"]

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [("ended", "Ended"), ("all", "Both")]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if self.value() == "all":
            return queryset
        return queryset.filter(ended_at__isnull=self.value() != "ended")


class PhaseFilter(MultipleDropdownFilter):  # type: ignore[misc]
    title = "phase"
    parameter_name = "phase"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [(str(one), str(one)) for one in Phase]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        phases = [one for one in self.value() or [] if one]
        return queryset.filter(phase__in=phases) if phases else queryset


class RegionFilter(DropdownFilter):  # type: ignore[misc]
    """Where Novita shows it; regions that were only asked for are no place yet."""

    title = "region"
    parameter_name = "region"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        regions = Machine.objects.exclude(region="").order_by("region").values_list("region", flat=True).distinct()
        return [(region, region) for region in regions]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        return queryset.filter(machine__region=self.value()) if self.value() else queryset


class BillingFilter(RadioFilter):  # type: ignore[misc]
    """As Novita bills it, else as it was asked for."""

    title = "billing"
    parameter_name = "billing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [(str(one), str(one).replace("_", "-")) for one in BillingMode]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if not self.value():
            return queryset
        billed = Coalesce(NullIf(F("machine__billing_mode"), Value("")), F("billing_mode"))
        return queryset.alias(billed_as=billed).filter(billed_as=self.value())


class CareFilter(RadioFilter):  # type: ignore[misc]
    title = "care"
    parameter_name = "care"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [("managed", "Managed"), ("unmanaged", "Not managed"), ("protected", "Protected")]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        wanted = {
            "managed": Q(managed=True),
            "unmanaged": Q(managed=False),
            "protected": Q(protected=True),
        }.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(wanted)


class OwnerFilter(DropdownFilter):  # type: ignore[misc]
    title = "owner"
    parameter_name = "owner"
    _nobody = "-"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        owners = Instance.objects.exclude(owner="").order_by("owner").values_list("owner", flat=True).distinct()
        return [(self._nobody, "(nobody)"), *((owner, owner) for owner in owners)]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if not self.value():
            return queryset
        return queryset.filter(owner="" if self.value() == self._nobody else self.value())


class LabelFilter(TextFilter):  # type: ignore[misc]
    """`name:text` as in the API, or a name alone for any text."""

    title = "label, as name:text"
    parameter_name = "label"

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        name, colon, text = (self.value() or "").strip().partition(":")
        if not name:
            return queryset
        return labelled(queryset, name.strip(), text.strip()) if colon else queryset.filter(labels__has_key=name)


FILTERS = [LifeFilter, PhaseFilter, RegionFilter, BillingFilter, CareFilter, OwnerFilter, LabelFilter]

"""Filters, search and ordering of lists. What is not among the choices is refused, not ignored."""

import copy
import json
from typing import Any, TypeVar

import django_filters
from django.db.models import Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from instances.lifecycle import ENDED_PHASES, JobState, Phase, Verb, Wanted
from instances.models import Alarm, Instance, Job, Offer, Template
from instances.models.instance import AutoStopMode, BillingMode

Rows = TypeVar("Rows", bound=QuerySet[Any])

_FLAGS = [("true", "true"), ("false", "false")]


class _FlatCopies(dict[str, Any]):
    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        copies = {name: copy.copy(one) for name, one in self.items()}
        for one in copies.values():
            if one.method is not None:
                one.method = one.method  # bound to the filter it stands in
        return copies


def lightly_copied(filters: type[Any]) -> type[Any]:
    """Each request has filters of its own, which are told whose they are and nothing else: a flat copy is enough."""
    filters.base_filters = _FlatCopies(filters.base_filters)
    return filters


class FlagFilter(django_filters.TypedChoiceFilter):  # type: ignore[misc]
    """`true` or `false`, nothing else."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=_FLAGS, coerce=lambda text: text == "true", **options)


class StableOrdering(django_filters.OrderingFilter):  # type: ignore[misc]
    """Rows that are alike in what was asked for come by id, so that no page shows one twice or leaves one out."""

    def filter(self, qs: Rows, value: Any) -> Rows:
        ordered: Rows = super().filter(qs, value)
        return ordered.order_by(*ordered.query.order_by, "pk") if value else ordered


class WordsFilter(django_filters.BaseInFilter, django_filters.ChoiceFilter):  # type: ignore[misc]
    """One or more of the choices, split by commas."""


def labelled(rows: Rows, name: str, text: str, *, alias: str = "label_text") -> Rows:
    """Rows whose label has exactly this text."""
    return rows.alias(**{alias: Cast(KeyTextTransform(name, "labels"), TextField())}).filter(**{alias: text})


@lightly_copied
class InstanceFilter(django_filters.FilterSet):  # type: ignore[misc]
    phase = WordsFilter(choices=Phase.choices)
    wanted = django_filters.ChoiceFilter(choices=Wanted.choices)
    managed = FlagFilter()
    protected = FlagFilter()
    include_ended = FlagFilter(field_name="phase", method="ended")
    region = django_filters.CharFilter(field_name="machine__region", lookup_expr="iexact", max_length=255)
    product_name = django_filters.CharFilter(method="product", max_length=255)
    billing_mode = django_filters.ChoiceFilter(choices=BillingMode.choices, method="billed_as")
    auto_stop_mode = django_filters.ChoiceFilter(choices=AutoStopMode.choices)
    owner = django_filters.CharFilter(max_length=255)
    label = django_filters.CharFilter(method="by_label", max_length=400, label="name:text")
    search = django_filters.CharFilter(method="by_text", max_length=255)
    ordering = StableOrdering(
        fields=(
            ("created_at", "created_at"),
            ("name", "name"),
            ("phase", "phase"),
            ("phase_since", "phase_since"),
            ("last_used_at", "last_used_at"),
            ("owner", "owner"),
            ("machine__region", "region"),
            ("machine__price_usd_per_hour", "price_usd_per_hour"),
        )
    )

    class Meta:
        model = Instance
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Ended ones only where they are named."""
        rows: QuerySet[Any] = super().filter_queryset(queryset)
        if self.form.cleaned_data.get("phase") or self.form.cleaned_data.get("include_ended"):
            return rows
        return rows.exclude(phase__in=ENDED_PHASES)

    def ended(self, rows: QuerySet[Any], _: str, __: bool) -> QuerySet[Any]:
        return rows

    def product(self, rows: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        return rows.filter(Q(machine__product_name__iexact=value) | Q(product_name__iexact=value))

    def billed_as(self, rows: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        """As it is shown: what Novita told, and what was asked for only as long as it told nothing."""
        untold = Q(machine=None) | Q(machine__billing_mode="")
        return rows.filter(Q(machine__billing_mode=value) | (untold & Q(billing_mode=value)))

    def by_label(self, rows: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        name, _, text = value.partition(":")
        return labelled(rows, name, text)

    def by_text(self, rows: QuerySet[Any], _: str, value: str) -> QuerySet[Any]:
        written = json.dumps(value)[1:-1]  # SQLite keeps letters beyond ASCII as JSON escapes them
        told: QuerySet[Any] = rows.alias(labels_text=Cast("labels", TextField()))
        return told.filter(
            Q(name__icontains=value)
            | Q(labels_text__icontains=value)
            | Q(labels_text__icontains=written)
            | Q(machine__novita_id__icontains=value)
            | Q(owner__icontains=value)
            | Q(machine__product_name__icontains=value)
        )


@lightly_copied
class JobFilter(django_filters.FilterSet):  # type: ignore[misc]
    state = WordsFilter(choices=JobState.choices)
    verb = WordsFilter(choices=Verb.choices)
    requested_by = django_filters.CharFilter(field_name="requested_by_name", max_length=255)
    since = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    instance_id = django_filters.UUIDFilter()

    class Meta:
        model = Job
        fields: list[str] = []


@lightly_copied
class EventFilter(django_filters.FilterSet):  # type: ignore[misc]
    type = django_filters.CharFilter(max_length=60)
    instance_id = django_filters.UUIDFilter()
    job_id = django_filters.UUIDFilter()
    request_id = django_filters.CharFilter(max_length=64)
    actor_kind = django_filters.CharFilter(max_length=10)
    actor_name = django_filters.CharFilter(max_length=255)
    search = django_filters.CharFilter(field_name="reason", lookup_expr="icontains", max_length=255)
    since = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")


@lightly_copied
class AlarmFilter(django_filters.FilterSet):  # type: ignore[misc]
    open = FlagFilter(field_name="cleared_at", lookup_expr="isnull")
    kind = django_filters.CharFilter(max_length=50)
    search = django_filters.CharFilter(field_name="text", lookup_expr="icontains", max_length=255)
    ordering = StableOrdering(fields=(("opened_at", "opened_at"), ("last_seen_at", "last_seen_at"), ("kind", "kind")))
    subject = django_filters.CharFilter(max_length=255)
    instance_id = django_filters.UUIDFilter()

    class Meta:
        model = Alarm
        fields: list[str] = []


@lightly_copied
class OfferFilter(django_filters.FilterSet):  # type: ignore[misc]
    product_id = django_filters.CharFilter(max_length=255)
    product_name = django_filters.CharFilter(lookup_expr="iexact", max_length=255)
    region = django_filters.CharFilter(field_name="cluster__region", lookup_expr="iexact", max_length=255)
    available = FlagFilter()
    search = django_filters.CharFilter(field_name="product_name", lookup_expr="icontains", max_length=255)
    ordering = StableOrdering(
        fields=(
            ("product_name", "product_name"),
            ("cluster__region", "region"),
            ("on_demand_usd_per_gpu_hour", "on_demand_usd_per_gpu_hour"),
            ("spot_usd_per_gpu_hour", "spot_usd_per_gpu_hour"),
        )
    )

    class Meta:
        model = Offer
        fields: list[str] = []


@lightly_copied
class TemplateFilter(django_filters.FilterSet):  # type: ignore[misc]
    channel = django_filters.CharFilter(max_length=20)
    ordering = StableOrdering(fields=(("name", "name"), ("refreshed_at", "refreshed_at")))
    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", max_length=255)

    class Meta:
        model = Template
        fields: list[str] = []
